--- A proxy in front of a Consul that counts what passes, cuts what it is told to cut,
-- and lies when asked. Without an upstream it is a Consul that only lies.
--
-- It understands requests (to count them and to lie instead of forwarding) and passes
-- answers on as bytes: what the real Consul says is never altered by accident.
local uv = require("luv")
local http = require("tests.lib.http")

local M = {}

local Proxy = {}
Proxy.__index = Proxy

local function answer(status, reason, content_type, body)
  return ("HTTP/1.1 %d %s\r\nContent-Type: %s\r\nX-Consul-Index: 7\r\nContent-Length: %d\r\n\r\n%s")
    :format(status, reason, content_type, #body, body)
end

--- The lies, by name. Each is called with the client's connection.
M.lies = {
  error500 = function(client) client:say(answer(500, "Internal Server Error", "text/plain", "No cluster leader")) end,
  forbidden = function(client) client:say(answer(403, "Forbidden", "text/plain", "Permission denied")) end,
  not_found = function(client) client:say(answer(404, "Not Found", "text/plain", "")) end,
  moved = function(client) client:say("HTTP/1.1 301 Moved Permanently\r\nLocation: /v1/kv/elsewhere\r\nContent-Length: 0\r\n\r\n") end,
  html = function(client) client:say(answer(200, "OK", "text/html", "<html><body>Please log in</body></html>")) end,
  false200 = function(client) client:say(answer(200, "OK", "application/json", "false")) end,
  empty200 = function(client) client:say(answer(200, "OK", "application/json", "")) end,
  empty_list = function(client) client:say(answer(200, "OK", "application/json", "[]")) end,
  half = function(client)
    client:say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Consul-Index: 9\r\nContent-Length: 900\r\n\r\n[{\"Key\":")
    client:close()
  end,
  garbage = function(client)
    client:say("\0\1\2 no HTTP at all\r\n\r\n")
    client:close()
  end,
  cut = function(client) client:close() end,
  hang = function() end,
}

local Client = {}
Client.__index = Client

function Client:say(bytes)
  if not self.handle:is_closing() then
    self.handle:write(bytes)
  end
end

--- Whether the agent has ended this connection, or we have.
function Client:has_gone()
  return self.handle:is_closing()
end

function Client:close()
  for _, handle in ipairs{self.handle, self.upstream} do
    if not handle:is_closing() then
      handle:close()
    end
  end
  self.proxy.clients[self] = nil
end

-- Bytes for Consul; kept until the connection to it stands.
local function forward(client, bytes)
  if client.upstream_open then
    return client.upstream:write(bytes)
  end
  client.waiting = (client.waiting or "") .. bytes
  if client.upstream then
    return
  end
  client.upstream = uv.new_tcp()
  client.upstream:connect("127.0.0.1", client.proxy.target_port, function(err)
    if err then
      return client:close()
    end
    client.upstream_open = true
    client.upstream:nodelay(true)
    client.upstream:read_start(function(_, answered)
      if not answered then
        return client:close()
      end
      client.proxy.bytes_down = client.proxy.bytes_down + #answered
      client:say(answered)
    end)
    client.upstream:write(client.waiting)
  end)
end

-- Hands bytes to Consul for a client that has gone meanwhile; only `on_answer` is told what Consul says to it.
local function forward_alone(proxy, bytes, on_answer)
  local socket = uv.new_tcp()
  socket:connect("127.0.0.1", proxy.target_port, function()
    socket:write(bytes)
    socket:read_start(function(_, answered)
      local status = answered and answered:match("^HTTP/%S+ (%d+)")
      if status and on_answer then
        on_answer(tonumber(status))
      elseif not answered and not socket:is_closing() then
        socket:close()
      end
    end)
  end)
end

-- The lie that a request is to be told, if any.
local function find_lie(proxy, request)
  for _, rule in ipairs(proxy.rules) do
    local found = (request.method .. " " .. request.target):find(rule.pattern)
    if found and rule.times ~= 0 and not (rule.unless and request.target:find(rule.unless)) then
      rule.times = rule.times and rule.times - 1
      rule.told = rule.told + 1
      return rule.lie
    end
  end
end

local function on_request(client, request, bytes)
  local proxy = client.proxy
  proxy.requests = proxy.requests + 1
  proxy.bytes_up = proxy.bytes_up + #bytes
  if proxy.on_request then
    proxy.on_request(request)
  end
  local lie = find_lie(proxy, request)
  if lie then
    return lie(client, request, function(on_answer)
      if client.handle:is_closing() then
        forward_alone(proxy, bytes, on_answer)
      else
        forward(client, bytes)
      end
    end)
  elseif not proxy.target_port then
    return M.lies.error500(client)
  end
  forward(client, bytes)
end

-- Takes whole requests off the client's bytes, one after the other.
local function on_client_bytes(client, bytes)
  client.text = client.text .. bytes
  while true do
    local first, headers, body_at = http.parse_head(client.text)
    local length = first and tonumber(headers["content-length"] or "0")
    if not first or #client.text < body_at - 1 + length then
      return
    end
    local method, target = first:match("^(%S+) (%S+)")
    local request = {method = method, target = target, headers = headers, body = client.text:sub(body_at, body_at + length - 1)}
    local whole = client.text:sub(1, body_at + length - 1)
    client.text = client.text:sub(body_at + length)
    on_request(client, request, whole)
    if client.handle:is_closing() then
      return
    end
  end
end

local function accept(proxy)
  local client = setmetatable({proxy = proxy, handle = uv.new_tcp(), text = ""}, Client)
  proxy.server:accept(client.handle)
  client.handle:nodelay(true)
  proxy.connections = proxy.connections + 1
  proxy.clients[client] = true
  client.handle:read_start(function(_, bytes)
    if bytes then
      on_client_bytes(client, bytes)
    else
      client:close()
    end
  end)
end

--- Opens the proxy on a free port.
-- @tparam int target_port where Consul listens on 127.0.0.1; nil for none (every request is answered 500)
-- @treturn Proxy with url, requests, connections, bytes_up, bytes_down; `on_request(request)` may be set
function M.start(target_port)
  local self = setmetatable({target_port = target_port, clients = {}, rules = {}}, Proxy)
  self:reset_counts()
  self.server = uv.new_tcp()
  assert(self.server:bind("127.0.0.1", 0))
  self.http_port = self.server:getsockname().port
  self.url = "http://127.0.0.1:" .. math.tointeger(self.http_port)
  assert(self.server:listen(128, function() accept(self) end))
  return self
end

--- Starts counting from zero.
function Proxy:reset_counts()
  self.requests, self.connections, self.bytes_up, self.bytes_down = 0, 0, 0, 0
end

--- Tells a lie to the requests whose "METHOD target" matches a Lua pattern.
-- @tparam string pattern
-- @tparam string|function lie a name from M.lies, or function(client, request, pass_on); pass_on(on_answer)
--   hands the request to Consul after all, now or much later; when its sender has gone meanwhile,
--   on_answer (may be nil) gets the status that Consul answers
-- @tparam[opt] table options times (how often, else always), unless (pattern that exempts)
-- @treturn table the rule; `told` counts, drop() ends it
function Proxy:lie(pattern, lie, options)
  local rule = {
    pattern = pattern, lie = M.lies[lie] or lie, told = 0,
    times = options and options.times, unless = options and options.unless,
  }
  assert(type(rule.lie) == "function", "no such lie: " .. tostring(lie))
  table.insert(self.rules, 1, rule)
  function rule.drop()
    for i, other in ipairs(self.rules) do
      if other == rule then
        table.remove(self.rules, i)
      end
    end
  end
  return rule
end

--- Ends all lies.
function Proxy:be_honest()
  self.rules = {}
end

--- Cuts every open connection now (open long polls see the end of the stream).
function Proxy:cut_all()
  for client in pairs(self.clients) do
    client:close()
  end
end

--- Closes the proxy: connects are refused from now on.
function Proxy:close()
  self:cut_all()
  if not self.server:is_closing() then
    self.server:close()
  end
end

return M
