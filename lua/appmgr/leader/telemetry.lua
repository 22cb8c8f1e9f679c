--- How loaded the nodes are, for policies that look at it: `status/<host>/resource` of all of them, read again an
-- interval after the last was answered. Nothing is read where no host is followed, and nothing is parsed here.
local M = {}

local Telemetry = {}
Telemetry.__index = Telemetry

--- Old servers take 64 operations in a transaction.
local READS_AT_ONCE <const> = 64

--- @tparam table deps `client`, `timer`, `problems`, `interval_ms`, `on_feeds` (function(array of {header {topic="load",
--   status, index}, body}))
-- @treturn Telemetry that follows nobody
function M.new(deps)
  return setmetatable({
    client = deps.client, timer = deps.timer, problems = deps.problems, interval_ms = deps.interval_ms,
    on_feeds = deps.on_feeds, hosts = {}, generation = 0, is_reading = false,
  }, Telemetry)
end

local read_from

local function tell(self, reason)
  if not reason then return self.problems:clear("feeds/load") end
  self.problems:set("feeds/load", ("the leader cannot read how loaded nodes are: %s; the policy goes by what was last read")
    :format(reason))
end

local function rest(self)
  self.is_reading = false
  self.wait = self.timer.after(self.interval_ms, function()
    self.wait = nil
    read_from(self, 1)
  end)
end

-- A key that is not there fails no `get-tree`.
local function operations(hosts, first)
  local list = {}
  for position = first, math.min(#hosts, first + READS_AT_ONCE - 1) do
    list[#list + 1] = { verb = "get-tree", key = ("status/%s/resource"):format(hosts[position]) }
  end
  return list
end

--- Reads the hosts from one position on, then rests.
function read_from(self, first)
  self.is_reading = true
  if not self.hosts[first] then return rest(self) end
  local generation = self.generation
  local body = self.client.encode_transaction(operations(self.hosts, first))
  self.request = self.client:transaction(body, {}, function(answer, err)
    self.request = nil
    local reason = err and err.message or answer.status ~= 200 and "Consul refused the transaction" or nil
    tell(self, reason)
    if reason then return rest(self) end
    self.on_feeds({ { header = { topic = "load", status = answer.status, index = answer.index }, body = answer.body } })
    -- Whoever took that may have ended this.
    if generation == self.generation then read_from(self, first + READS_AT_ONCE) end
  end)
end

--- Follows these hosts, and no others: read at once when nobody was followed before.
-- @tparam table hosts array of names
function Telemetry:follow(hosts)
  if #hosts == 0 then return self:stop() end
  self.hosts = hosts
  if not self.is_reading and not self.wait then read_from(self, 1) end
end

--- Ends reading.
function Telemetry:stop()
  for _, name in ipairs({ "request", "wait" }) do
    if self[name] then self[name]:cancel() end
    self[name] = nil
  end
  self.generation, self.is_reading, self.hosts = self.generation + 1, false, {}
  tell(self, nil)
end

return M
