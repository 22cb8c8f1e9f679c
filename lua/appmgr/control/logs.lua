--- The method app.logs: the last lines an application wrote, and what it writes from now on.
--
-- Output is bytes, not text: events carry it in base64. Reading goes by position; a file that is
-- shorter than what was read from it was begun anew, and is read from its start.

local applications = require("appmgr.control.applications")

local M = {}

--- For an application that the keeper still holds while its document is not known any more.
local UNKNOWN_CACHE_LINES <const> = 20
--- How far back the last lines are looked for.
local MAX_TAIL_BYTES <const> = 1024 * 1024
--- What one event may carry, and what one turn of the loop may read.
local CHUNK_BYTES <const> = 128 * 1024
local POLL_MS <const> = 200

local Logs = {}
Logs.__index = Logs

--- Where in `text` its last `lines` lines begin.
local function start_of_last_lines(text, lines)
  local position = #text
  if text:sub(-1) == "\n" then position = position - 1 end
  for _ = 1, lines do
    while position > 0 and text:byte(position) ~= 10 do position = position - 1 end
    if position == 0 then return 1 end
    position = position - 1
  end
  return position + 2
end

function Logs:send(request, bytes)
  for position = 1, #bytes, CHUNK_BYTES do
    local chunk = bytes:sub(position, position + CHUNK_BYTES - 1)
    request:event({ bytes_base64 = self.codec.base64_encode(chunk) })
  end
end

--- Sends the last lines.
-- @treturn integer position up to which the file was read
function Logs:send_tail(request, path, lines)
  local file = self.open(path, "rb")
  if not file then return 0 end
  local size = file:seek("end")
  local from = math.max(0, size - MAX_TAIL_BYTES)
  file:seek("set", from)
  local text = file:read(size - from) or ""
  file:close()
  if lines > 0 then self:send(request, text:sub(start_of_last_lines(text, lines))) end
  return from + #text
end

--- Sends what was written since `position`.
-- @treturn integer the new position
function Logs:send_news(request, path, position)
  local file = self.open(path, "rb")
  if not file then return 0 end
  local size = file:seek("end")
  if size < position then position = 0 end
  if size > position then
    file:seek("set", position)
    local bytes = file:read(math.min(size - position, CHUNK_BYTES)) or ""
    self:send(request, bytes)
    position = position + #bytes
  end
  file:close()
  return position
end

function Logs:follow(agent, request, name, path, position)
  local timer
  local function finish()
    timer:cancel()
  end
  timer = self.timer.every(POLL_MS, function()
    position = self:send_news(request, path, position)
    if not applications.find(agent, name) then
      finish()
      request:reply({ ended = ('application "%s" is no longer on this node'):format(name) })
    end
  end)
  request:on_close(finish)
end

--- app.logs {name, lines, follow} → events {bytes_base64}, then {} (or {ended=why} when followed)
--
-- Without `lines` as many are sent as the application's `cache_lines` says.
function Logs:show(agent, request)
  local name = request.params.name
  local row, err = applications.find(agent, name)
  if not row then return request:fail("not_found", err) end
  local lines = request.params.lines or row.cache_lines or UNKNOWN_CACHE_LINES
  if math.type(lines) ~= "integer" or lines < 0 then
    return request:fail("bad_request", '"lines" is a whole number')
  end
  local path = agent.apps:output_path(name)
  local position = path and self:send_tail(request, path, lines) or 0
  if path and request.params.follow then return self:follow(agent, request, name, path, position) end
  request:reply({})
end

--- @tparam table core codec and timer are used
-- @tparam[opt=io.open] function open
-- @treturn table with `show`, the handler
function M.new(core, open)
  local logs = setmetatable({ codec = core.codec, timer = core.timer, open = open or io.open }, Logs)
  return { show = function(agent, request) return logs:show(agent, request) end }
end

return M
