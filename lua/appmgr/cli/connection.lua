--- The command line's end of the agent's socket: one request at a time, one JSON object a line.

local json = require("appmgr.json")

local M = {}

local Connection = {}
Connection.__index = Connection

local ANSWER_TIMEOUT_MS <const> = 60 * 1000
local STREAM_TIMEOUT_MS <const> = 24 * 3600 * 1000
--- What the agent accepts as one line, with room for the frame around a document.
local MAX_LINE_BYTES <const> = 1024 * 1024 - 4096

--- Connects to an agent.
-- @tparam table control core.control
-- @tparam string path the socket
-- @treturn[1] table connection
-- @treturn[2] nil
-- @treturn[2] string why not, and what to do
function M.open(control, path)
  local client, err = control.connect(path)
  if not client then
    if err:sub(1, #path + 2) == path .. ": " then err = err:sub(#path + 3) end
    return nil, ('no agent answers on %s (%s); start one with "appmgr agent", '
      .. "or name its socket with --socket or APPMGR_SOCKET (one that was removed is made anew on SIGHUP)"):format(path, err)
  end
  return setmetatable({ client = client, path = path, last_id = 0 }, Connection)
end

function Connection:lost(reason)
  if reason == "timeout" then
    local text = "the agent on %s took the request and does not answer; its log may say why"
    return nil, text:format(self.path), "timeout"
  end
  return nil, ("the agent on %s ended the connection before it answered; its log says why"):format(self.path), "closed"
end

--- Sends a request and waits for its answer.
-- @tparam string method
-- @tparam[opt] table params
-- @tparam[opt] function on_event function(event) for each event before the answer
-- @treturn[1] any the result
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] string code
function Connection:call(method, params, on_event)
  self.last_id = self.last_id + 1
  local id = self.last_id
  local line = json.encode({ id = id, method = method, params = params or {} })
  if #line > MAX_LINE_BYTES then
    local text = "the request is too large: %d bytes, an agent reads at most %d"
    return nil, text:format(#line, MAX_LINE_BYTES), "too_large"
  end
  if not self.client:send(line) then return self:lost("closed") end
  local timeout_ms = on_event and STREAM_TIMEOUT_MS or ANSWER_TIMEOUT_MS
  while true do
    local answer, reason = self.client:receive(timeout_ms)
    if not answer then return self:lost(reason) end
    local message, err = json.decode(answer)
    if type(message) ~= "table" then
      return nil, ("%s does not speak the agent's language (%s)"):format(self.path, err or "no object"), "protocol"
    end
    if message.error and (message.id == id or message.id == nil) then
      return nil, message.error.message, message.error.code
    end
    if message.id == id then
      if message.event == nil then return message.result end
      if on_event then on_event(message.event) end
    end
  end
end

function Connection:close()
  self.client:close()
end

return M
