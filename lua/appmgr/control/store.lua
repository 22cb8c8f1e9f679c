--- What control handlers need from Consul: raw listings for clients, single entries for changes.

local M = {}

--- How many reads of one request are under way at a time.
local MAX_PARALLEL_READS <const> = 8
local MAX_READS <const> = 10000

--- An error of the Consul client as text.
function M.text(err)
  return type(err) == "table" and tostring(err.message) or tostring(err)
end

--- Refuses the request when this agent works without Consul.
-- @treturn boolean whether it did
function M.is_missing(agent, request)
  if agent.client then return false end
  request:fail("unavailable", ('the agent "%s" works without Consul: its configuration has no "Consul" block')
    :format(agent.node))
  return true
end

--- Reads one key.
-- @tparam table agent
-- @tparam string key relative to the prefix
-- @tparam function callback function(entry|nil, err|nil); neither when there is no such key
function M.entry(agent, key, callback)
  agent.client:get(key, { consistent = true }, function(answer, err)
    if err then return callback(nil, err) end
    if answer.status == 404 then return callback(nil, nil) end
    local entries, entries_error = agent.client.entries(answer.body)
    if not entries then return callback(nil, entries_error) end
    callback(entries[1], nil)
  end)
end

local BAD_READ <const> = 'each of "keys" is {"audit": true} or {"key": …}, a key below the prefix without "//", "." and ".."'

local Reader = {}
Reader.__index = Reader

--- Consul answers `//`, `.` and `..` in a path with a redirection.
local function is_key(key)
  return type(key) == "string" and not key:find("^/") and not key:find("//", 1, true) and not ("/" .. key .. "/"):find("/%.%.?/")
end

local function is_read(read)
  return type(read) == "table" and (read.audit == true or is_key(read.key))
end

--- consul.read {keys=[{key,recurse,keys}|{audit=true}]} → [{status,index,body_base64}|{error}]
--
-- Answers are Consul's own bytes; nothing is parsed here. `audit` is the one transaction that
-- shows assignments, topologies and meta at the same moment.
function Reader:read(agent, request)
  if M.is_missing(agent, request) then return end
  local reads = request.params.keys
  if type(reads) ~= "table" or #reads == 0 or #reads > MAX_READS then
    return request:fail("bad_request", ('"keys" is a list of 1 to %d reads'):format(MAX_READS))
  end
  for _, read in ipairs(reads) do
    if not is_read(read) then return request:fail("bad_request", BAD_READ) end
  end
  self:run(agent, request, reads)
end

local AUDIT <const> = {
  { verb = "get-tree", key = "assignment/" },
  { verb = "get-tree", key = "topology/" },
  { verb = "get-tree", key = "confirm/" },
  { verb = "get-tree", key = "meta" },
}

local function send(agent, read, callback)
  if read.audit then
    return agent.client:transaction(agent.client.encode_transaction(AUDIT), {}, callback)
  end
  return agent.client:get(read.key, { recurse = read.recurse, keys = read.keys }, callback)
end

function Reader:run(agent, request, reads)
  local results, next_read, open = {}, 1, 0
  local step

  local function finished(position, answer, err)
    open = open - 1
    if request.closed then return end
    results[position] = err and { error = M.text(err) } or {
      status = answer.status,
      index = answer.index,
      body_base64 = self.codec.base64_encode(answer.body or ""),
    }
    step()
  end

  function step()
    while open < MAX_PARALLEL_READS and next_read <= #reads do
      local position = next_read
      next_read, open = next_read + 1, open + 1
      send(agent, reads[position], function(answer, err) finished(position, answer, err) end)
    end
    if open == 0 and next_read > #reads then request:reply(results) end
  end

  step()
end

--- @tparam table core codec is used
-- @treturn table with `read`, the handler
function M.new(core)
  local reader = setmetatable({ codec = core.codec }, Reader)
  return { read = function(agent, request) return reader:read(agent, request) end }
end

return M
