--- The method app.logs: the last lines an application wrote, and what it writes from now on.
--
-- Output is bytes, not text: events carry it in base64, and with it a *place*, {inode, born, position,
-- mtime_s}: up to where which file was read. A client that lost its agent gives the place back and
-- goes on from there. An event may have a `note` for people: what is missing before its bytes, and why.
--
-- No file is held open. A file that was moved away (`name.log` → `name.log.1` → `name.log.2` …) is
-- known by its inode and by when it was made (the inode of one that was removed is given to the next), and read to
-- its end, then the next younger one; a file that is shorter than what
-- was read from it was begun anew, and is read from its start.

local applications = require("appmgr.control.applications")
local log_times = require("appmgr.control.log_times")

local M = {}

--- For an application that the keeper still holds while its document is not known any more.
local UNKNOWN_CACHE_LINES <const> = 20
--- How far back the last lines are looked for, in all files together.
local MAX_TAIL_BYTES <const> = 4 * 1024 * 1024
--- What one look at a file reads for that.
local TAIL_STEP_BYTES <const> = 1024 * 1024
--- What one event may carry.
local CHUNK_BYTES <const> = 128 * 1024
--- How many of them answer one request, or are sent in one turn of the loop; the rest is left for the next.
local CHUNKS_AT_ONCE <const> = 4
local POLL_MS <const> = 200
--- How many files that were moved away are looked at.
local MAX_MOVED <const> = 100

local FAR_BACK <const> = ('there are more lines; the last ones are looked for in the last %d MiB only, "--since" shows them all')
  :format(MAX_TAIL_BYTES >> 20)
local GAP <const> = "lines may be missing here: the file that was read has been removed meanwhile; the application's"
  .. ' "output" says how much is kept'

local Logs = {}
Logs.__index = Logs

--- Where in `text` its last `lines` lines begin, its own end not counted as the end of one where it is `last`.
-- @treturn integer position
-- @treturn integer how many lines are missing
local function start_of_last_lines(text, lines, last)
  local reversed = text:reverse()
  local position = last and text:sub(-1) == "\n" and 2 or 1
  for missing = lines, 1, -1 do
    local line_end = reversed:find("\n", position, true)
    if not line_end then return 1, missing end
    position = line_end + 1
  end
  return #text - position + 3, 0
end

function Logs:send(request, bytes, place, note)
  request:event({ bytes_base64 = self.codec.base64_encode(bytes), at = place, note = note })
end

local function place_in(stat, position)
  return { inode = stat.inode, born = stat.born, position = position, mtime_s = stat.mtime_s }
end

--- Whether two of places and stats are of one file. Not every file system says when a file was made.
local function is_same_file(one, other)
  return one.inode == other.inode and (one.born == other.born or not one.born or not other.born)
end

--- The files there are, the youngest first: path and what stat says of each.
function Logs:generations(path)
  local list = {}
  for number = 0, MAX_MOVED do
    local name = number == 0 and path or ("%s.%d"):format(path, number)
    local stat = self.file.stat(name)
    if stat then list[#list + 1] = { path = name, stat = stat } elseif number > 0 then break end
  end
  return list
end

--- The last lines, from files that were moved away where the newest has not enough of them.
-- @treturn string bytes
-- @treturn table the place behind them
-- @treturn boolean whether there are more of them, farther back than is looked
function Logs:tail(path, lines)
  local list, parts, left, missing = self:generations(path), {}, MAX_TAIL_BYTES, lines
  local newest = list[1]
  local place = newest and place_in(newest.stat, newest.stat.size) or { inode = 0, position = 0, mtime_s = 0 }
  for _, entry in ipairs(list) do
    local to = entry.stat.size
    while missing > 0 and to > 0 do
      if left == 0 then return table.concat(parts), place, true end
      local from = math.max(0, to - math.min(left, TAIL_STEP_BYTES))
      local text, stat = self.file.read_range(entry.path, from, to - from)
      if not text then return table.concat(parts), place, false end
      if not is_same_file(stat, entry.stat) then return self:tail(path, lines) end -- moved while we looked
      local start
      start, missing = start_of_last_lines(text, missing, #parts == 0)
      table.insert(parts, 1, text:sub(start))
      left, to = left - (to - from), from
    end
  end
  return table.concat(parts), place, false
end

--- The file to read on in when the newest one is another than that of the place: that one where it was moved to; when
-- it has been read to its end, the next younger one; when it is gone, the oldest of those written since.
-- @treturn ?table of `generations`
-- @treturn ?integer where to read on
-- @treturn ?string what has to be said of that
function Logs:find_place(path, place)
  local list = self:generations(path)
  for index, entry in ipairs(list) do
    if is_same_file(entry.stat, place) then
      if entry.stat.size > place.position then return entry, place.position end
      return list[index - 1], 0
    end
  end
  local note = place.inode ~= 0 and GAP or nil
  for index = #list, 2, -1 do
    if list[index].stat.mtime_s > place.mtime_s then return list[index], 0, note end
  end
  return list[1], 0, note
end

--- Sends what was written since.
-- @treturn table the new place
function Logs:send_news(request, path, place)
  local entry, position, note = { path = path, stat = self.file.stat(path) }, place.position, nil
  if not entry.stat then return place end
  if not is_same_file(entry.stat, place) then
    entry, position, note = self:find_place(path, place)
    if not entry then return place end
  elseif entry.stat.size == position then
    return place
  elseif entry.stat.size < position then
    position = 0
  end
  local bytes, read = self.file.read_range(entry.path, position, CHUNK_BYTES)
  -- Moved between the look and the read: the next turn finds where to.
  if not bytes or not is_same_file(read, entry.stat) then return place end
  local now = place_in(read, position + #bytes)
  if #bytes > 0 then self:send(request, bytes, now, note) end
  return now
end

--- The place where what was written since a moment begins.
-- @treturn table
function Logs:place_since(path, since)
  local found
  for _, entry in ipairs(self:generations(path)) do
    local offset = log_times.find(self.file, entry.path, entry.stat, since)
    -- Nothing of an older file is as young: the one before it is the oldest that counts.
    if offset == entry.stat.size and found then break end
    found = place_in(entry.stat, offset or 0)
    if offset then break end
  end
  return found or { inode = 0, position = 0, mtime_s = 0 }
end

--- Sends what stands behind a place, up to a bound.
-- @treturn boolean whether there is more
-- @treturn table the place behind it
function Logs:send_batch(request, path, place)
  for _ = 1, CHUNKS_AT_ONCE do
    local now = self:send_news(request, path, place)
    if is_same_file(now, place) and now.position == place.position then return false, now end
    place = now
  end
  return true, place
end

function Logs:follow(agent, request, name, path, place)
  local timer
  local function finish()
    timer:cancel()
  end
  timer = self.timer.every(POLL_MS, function()
    local _
    _, place = self:send_batch(request, path, place)
    local row, _, code = applications.find(agent, name)
    if not row and code == "not_found" then
      finish()
      request:reply({ ended = ('application "%s" is no longer on this node'):format(name) })
    end
  end)
  request:on_close(finish)
end

local function is_place(value)
  return type(value) == "table" and math.type(value.inode) == "integer" and math.type(value.position) == "integer"
    and value.position >= 0 and math.type(value.mtime_s) ~= nil and (value.born == nil or type(value.born) == "string")
end

--- What a request asks for that cannot be.
local function refusal(params, lines)
  if math.type(lines) ~= "integer" or lines < 0 then return '"lines" is a whole number' end
  if params.from ~= nil and not is_place(params.from) then return '"from" is the "at" of an event' end
  if params.since ~= nil and math.type(params.since) ~= "integer" then return '"since" is unix time in seconds' end
end

--- app.logs {name, lines, follow, from, since} → events {bytes_base64, at, note}, then {} (or {ended=why} when followed)
--
-- Without `lines` as many are sent as the application's `cache_lines` says. With `from`, a place of an earlier event,
-- what was written since is sent instead of the last lines, and with `since`, a moment in unix seconds, what was written
-- from then on. Those two send a bounded part unless they follow: {more=true, at=place} says that there is more.
function Logs:show(agent, request)
  local params = request.params
  local name, place = params.name, params.from
  local row, err, code = applications.find(agent, name)
  if not row then return request:fail(code, err) end
  local lines = params.lines or row.cache_lines or UNKNOWN_CACHE_LINES
  local refused = refusal(params, lines)
  if refused then return request:fail("bad_request", refused) end
  local path = agent.apps:output_path(name)
  if not place and params.since then place = self:place_since(path, params.since) end
  if not place then
    local bytes, has_more
    bytes, place, has_more = self:tail(path, lines)
    for position = 1, math.max(#bytes, 1), CHUNK_BYTES do
      self:send(request, bytes:sub(position, position + CHUNK_BYTES - 1), place, position == 1 and has_more and FAR_BACK or nil)
    end
  elseif not params.follow then
    local more
    more, place = self:send_batch(request, path, place)
    return request:reply({ more = more or nil, at = place })
  end
  if params.follow then return self:follow(agent, request, name, path, place) end
  request:reply({})
end

--- @tparam table core codec, file and timer are used
-- @treturn table with `show`, the handler
function M.new(core)
  local logs = setmetatable({ codec = core.codec, timer = core.timer, file = core.file }, Logs)
  return { show = function(agent, request) return logs:show(agent, request) end }
end

return M
