--- The method app.logs: the last lines an application wrote, and what it writes from now on.
--
-- Output is bytes, not text: events carry it in base64, and with it a *place*, {inode, position,
-- mtime_s}: up to where which file was read. A client that lost its agent gives the place back and
-- goes on from there.
--
-- No file is held open. A file that was moved away (`name.log` → `name.log.1` → `name.log.2` …) is
-- known by its inode and read to its end, then the next younger one; a file that is shorter than what
-- was read from it was begun anew, and is read from its start.

local applications = require("appmgr.control.applications")
local log_times = require("appmgr.control.log_times")

local M = {}

--- For an application that the keeper still holds while its document is not known any more.
local UNKNOWN_CACHE_LINES <const> = 20
--- How far back the last lines are looked for in one file.
local MAX_TAIL_BYTES <const> = 1024 * 1024
--- What one event may carry, and what one turn of the loop may read.
local CHUNK_BYTES <const> = 128 * 1024
--- How many of them answer one request; who wants more asks again from there.
local CHUNKS_AT_ONCE <const> = 4
local POLL_MS <const> = 200
--- How many files that were moved away are looked at.
local MAX_MOVED <const> = 100

local Logs = {}
Logs.__index = Logs

--- Where in `text` its last `lines` lines begin.
-- @treturn integer position
-- @treturn integer how many lines are missing
local function start_of_last_lines(text, lines)
  local position = #text
  if text:sub(-1) == "\n" then position = position - 1 end
  for line = 1, lines do
    while position > 0 and text:byte(position) ~= 10 do position = position - 1 end
    if position == 0 then return 1, #text > 0 and lines - line or lines end
    position = position - 1
  end
  return position + 2, 0
end

function Logs:send(request, bytes, place)
  request:event({ bytes_base64 = self.codec.base64_encode(bytes), at = place })
end

local function place_in(stat, position)
  return { inode = stat.inode, position = position, mtime_s = stat.mtime_s }
end

--- The last lines, from the file that was moved away last where the newest has not enough of them.
-- @treturn string bytes
-- @treturn table the place behind them
function Logs:tail(path, lines)
  local text, stat = self.file.read_range(path, -MAX_TAIL_BYTES, MAX_TAIL_BYTES)
  if not text then return "", { inode = 0, position = 0, mtime_s = 0 } end
  local place = place_in(stat, stat.offset + #text)
  if lines == 0 then return "", place end
  local from, missing = start_of_last_lines(text, lines)
  local bytes = text:sub(from)
  if missing > 0 and stat.offset == 0 then
    local older, older_stat = self.file.read_range(path .. ".1", -MAX_TAIL_BYTES, MAX_TAIL_BYTES)
    -- Moved while we read: what was just read stands there.
    if older and older_stat.inode ~= stat.inode then bytes = older:sub((start_of_last_lines(older, missing))) .. bytes end
  end
  return bytes, place
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

--- The file to read on in when the newest one is another than that of the place: that one where it was moved to; when
-- it has been read to its end, the next younger one; when it is gone, the oldest of those written since.
-- @treturn ?table of `generations`
-- @treturn ?integer where to read on
function Logs:find_place(path, place)
  local list = self:generations(path)
  for index, entry in ipairs(list) do
    if entry.stat.inode == place.inode then
      if entry.stat.size > place.position then return entry, place.position end
      return list[index - 1], 0
    end
  end
  for index = #list, 2, -1 do
    if list[index].stat.mtime_s > place.mtime_s then return list[index], 0 end
  end
  return list[1], 0
end

--- Sends what was written since.
-- @treturn table the new place
function Logs:send_news(request, path, place)
  local entry, position = { path = path, stat = self.file.stat(path) }, place.position
  if not entry.stat then return place end
  if entry.stat.inode ~= place.inode then
    entry, position = self:find_place(path, place)
    if not entry then return place end
  elseif entry.stat.size == position then
    return place
  elseif entry.stat.size < position then
    position = 0
  end
  local bytes, read = self.file.read_range(entry.path, position, CHUNK_BYTES)
  -- Moved between the look and the read: the next turn finds where to.
  if not bytes or read.inode ~= entry.stat.inode then return place end
  local now = place_in(read, position + #bytes)
  if #bytes > 0 then self:send(request, bytes, now) end
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
    if now.inode == place.inode and now.position == place.position then return false, now end
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
    place = self:send_news(request, path, place)
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
    and value.position >= 0 and math.type(value.mtime_s) ~= nil
end

--- What a request asks for that cannot be.
local function refusal(params, lines)
  if math.type(lines) ~= "integer" or lines < 0 then return '"lines" is a whole number' end
  if params.from ~= nil and not is_place(params.from) then return '"from" is the "at" of an event' end
  if params.since ~= nil and math.type(params.since) ~= "integer" then return '"since" is unix time in seconds' end
end

--- app.logs {name, lines, follow, from, since} → events {bytes_base64, at}, then {} (or {ended=why} when followed)
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
    local bytes
    bytes, place = self:tail(path, lines)
    for position = 1, math.max(#bytes, 1), CHUNK_BYTES do
      self:send(request, bytes:sub(position, position + CHUNK_BYTES - 1), place)
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
