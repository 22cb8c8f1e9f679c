--- The agent's end of its socket: one JSON object a line, requests in, answers out.
--
--     → {"id":1,"method":"status","params":{}}
--     ← {"id":1,"result":…}   or   {"id":1,"error":{"code":"…","message":"…"}}
--
-- A streaming method sends {"id":1,"event":…} any number of times before its result. Requests of
-- one connection may overlap; each is answered once. A handler (see control/handlers.lua) answers
-- now or later through its request; when the client goes away its requests are closed, and a
-- handler that holds something for one learns that through `request:on_close`.
--
-- The server never waits for a client: core.control queues, and drops who does not read.

local json = require("appmgr.json")
local suggest = require("appmgr.suggest")

local M = {}

--- How many unanswered requests one connection may have.
local MAX_OPEN_REQUESTS <const> = 64

local Request = {}
Request.__index = Request

function Request:send(message)
  message.id = self.id
  self.conn:send(json.encode(message))
end

--- A client that sends no more is done with when its last request is answered.
local function close_when_answered(conn, client)
  if client.input_ended and not next(client.open_requests) then conn:close() end
end

local function finish(request, answer)
  if request.closed then return end
  request.closed = true
  request.client.open_requests[request] = nil
  request:send(answer)
  close_when_answered(request.conn, request.client)
end

--- Answers the request. Later answers are ignored.
function Request:reply(result)
  finish(self, { result = result == nil and json.null or result })
end

--- Refuses the request.
-- @tparam string code for programs: bad_request, not_found, unavailable, failed, conflict, internal …
-- @tparam string message for people: the thing, the reason, the next step
function Request:fail(code, message)
  finish(self, { error = { code = code, message = message } })
end

--- Sends one event of a stream.
function Request:event(value)
  if not self.closed then self:send({ event = value }) end
end

--- Calls `fn` when the client goes away before the answer.
function Request:on_close(fn)
  self.close_callback = fn
end

--- Has a handler answer, now or in a later turn of the loop; one that fails is told to the client.
-- @tparam function handler (agent, request)
-- @tparam table agent
function Request:run(handler, agent)
  local ok, trace = xpcall(handler, debug.traceback, agent, self)
  if ok then return end
  self.log.error(("control: %s failed: %s"):format(self.method, trace))
  self:fail("internal", ("the agent failed to answer %s: %s"):format(self.method, trace:match("^[^\n]*")))
end

local Server = {}
Server.__index = Server

local function refuse(conn, id, code, message)
  conn:send(json.encode({ id = id, error = { code = code, message = message } }))
end

local function count(set)
  local number = 0
  for _ in pairs(set) do number = number + 1 end
  return number
end

local function method_names(handlers)
  local names = {}
  for name in pairs(handlers) do names[#names + 1] = name end
  table.sort(names)
  return names
end

local function unknown_method(handlers, method)
  return ('this agent knows no method "%s"; %s'):format(method, suggest.hint(method, method_names(handlers)))
end


local function check_message(message)
  if type(message) ~= "table" or json.is_array(message) then return "a request is a JSON object" end
  if type(message.method) ~= "string" then return 'a request needs a "method"' end
  if message.params ~= nil and type(message.params) ~= "table" then return '"params" is an object' end
  return nil
end

function Server:on_line(conn, line)
  local message, decode_error = json.decode(line)
  if message == nil and decode_error then
    return refuse(conn, nil, "bad_request", "the line is no JSON: " .. decode_error)
  end
  local wrong = check_message(message)
  if wrong then return refuse(conn, type(message) == "table" and message.id or nil, "bad_request", wrong) end
  local handler = self.handlers[message.method]
  if not handler then
    return refuse(conn, message.id, "unknown_method", unknown_method(self.handlers, message.method))
  end
  local client = self.clients[conn]
  if not client then
    client = { open_requests = {}, session = {} }
    self.clients[conn] = client
  end
  if count(client.open_requests) >= MAX_OPEN_REQUESTS then
    local text = ("more than %d requests of this connection wait for an answer"):format(MAX_OPEN_REQUESTS)
    return refuse(conn, message.id, "too_many", text)
  end
  local request = setmetatable({
    id = message.id,
    method = message.method,
    log = self.log,
    conn = conn,
    params = message.params or {},
    session = client.session,
    client = client,
    closed = false,
  }, Request)
  client.open_requests[request] = true
  request:run(handler, self.agent)
end

function Server:on_input_end(conn)
  local client = self.clients[conn]
  if not client then return conn:close() end
  client.input_ended = true
  close_when_answered(conn, client)
end

function Server:on_close(conn)
  local client = self.clients[conn]
  self.clients[conn] = nil
  if not client then return end
  for request in pairs(client.open_requests) do
    request.closed = true
    if request.close_callback then request.close_callback() end
  end
end

--- Ends all connections and removes the socket.
function Server:close()
  if self.server then self.server:close() end
  self.server = nil
end

local function listen(self)
  local err
  self.server, err = self.core.control.listen({
    path = self.path,
    on_line = function(conn, line) self:on_line(conn, line) end,
    on_input_end = function(conn) self:on_input_end(conn) end,
    on_close = function(conn) self:on_close(conn) end,
    on_refused = function(uid)
      self.log.warn(("control: refused a connection from uid %s: only root and the agent's own user may connect")
        :format(uid))
    end,
  })
  return self.server and true, err
end

--- Makes the socket anew where somebody has removed it; what is connected to the old one is ended then.
-- @treturn boolean|nil, string `nil, err` when it cannot be made
function Server:restore()
  if self.core.file.stat(self.path) then return true end
  self:close()
  return listen(self)
end

--- Listens on the agent's socket.
-- @tparam table deps
--   agent     the agent object that handlers are given
--   core      control, file and log are used, and what handlers need (codec, sandbox, timer)
--   path      the socket
--   handlers  (optional) function(agent, request) by method name; default: all of control/handlers.lua
-- @treturn[1] table server, with `close()` and `restore()`
-- @treturn[2] nil
-- @treturn[2] string why not: in use by pid N, directory not ours, …
function M.new(deps)
  local self = setmetatable({
    agent = deps.agent,
    core = deps.core,
    path = deps.path,
    log = deps.core.log,
    handlers = deps.handlers or require("appmgr.control.handlers").new(deps.core),
    clients = {},
  }, Server)
  local there, err = listen(self)
  if not there then return nil, err end
  return self
end

return M
