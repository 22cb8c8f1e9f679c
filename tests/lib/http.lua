--- A small HTTP/1.1 client on the test's loop, to look at Consul with eyes that
-- are not the product's. Plain text only: a Consul under test that speaks HTTPS
-- to the agents keeps a plain port for us.
local uv = require("luv")
local loop = require("tests.lib.loop")

local M = {}

local DEFAULT_TIMEOUT_MS = 60000

-- Reads one chunked body from `text` at `at`; nil while it is not all there.
local function read_chunks(text, at)
  local parts = {}
  while true do
    local line_end = text:find("\r\n", at, true)
    if not line_end then
      return nil
    end
    local size = tonumber(text:sub(at, line_end - 1):match("^%x+"), 16)
    local stop = line_end + 2 + size + 2
    if #text < stop - 1 then
      return nil
    end
    if size == 0 then
      return table.concat(parts), stop
    end
    parts[#parts + 1] = text:sub(line_end + 2, line_end + 1 + size)
    at = stop
  end
end

--- Parses the header block of a request or answer.
-- @treturn string first line; nil while the block is incomplete
-- @treturn table headers, names in lower case
-- @treturn int where the body starts
function M.parse_head(text)
  local head_end = text:find("\r\n\r\n", 1, true)
  if not head_end then
    return nil
  end
  local head, headers = text:sub(1, head_end + 1), {}
  local first = head:match("^(.-)\r\n")
  for name, value in head:gmatch("\r\n([^:\r\n]+):[ \t]*([^\r\n]*)") do
    headers[name:lower()] = value
  end
  return first, headers, head_end + 4
end

local function parse_answer(text, closed)
  local first, headers, at = M.parse_head(text)
  if not first then
    return nil
  end
  local response = {status = tonumber(first:match("^HTTP/%S+ (%d+)")), headers = headers}
  if headers["transfer-encoding"] == "chunked" then
    response.body = read_chunks(text, at)
  elseif headers["content-length"] then
    local length = tonumber(headers["content-length"])
    response.body = #text >= at + length - 1 and text:sub(at, at + length - 1) or nil
  elseif closed or response.status == 204 or response.status == 304 then
    response.body = text:sub(at)
  end
  return response.status and response.body and response
end

local function request_text(options)
  local body = options.body or ""
  local lines = {
    ("%s %s HTTP/1.1"):format(options.method or "GET", options.path),
    "Host: 127.0.0.1:" .. options.port,
    "Content-Length: " .. #body,
  }
  for _, header in ipairs(options.headers or {}) do
    lines[#lines + 1] = header
  end
  return table.concat(lines, "\r\n") .. "\r\n\r\n" .. body
end

local Connection = {}
Connection.__index = Connection

local function fail_waiting(self, reason)
  local callback = self.callback
  self.callback = nil
  self.dead = true
  if callback then
    callback(nil, reason)
  end
end

local function on_bytes(self, err, bytes)
  if bytes then
    self.text = self.text .. bytes
  end
  local response = self.callback and parse_answer(self.text, not bytes)
  if response then
    local callback = self.callback
    self.callback, self.text = nil, ""
    callback(response)
  elseif not bytes then
    fail_waiting(self, err or "connection closed")
  end
end

--- Sends one request; one at a time on a connection.
-- @tparam function callback gets (response{status,headers,body}) or (nil, error)
function Connection:send(options, callback)
  assert(not self.callback, "a request is already on its way")
  self.callback = callback
  options.port = self.port
  local text = request_text(options)
  if self.open then
    self.handle:write(text)
  else
    self.pending = text
  end
end

--- Closes the connection; an open request fails.
function Connection:close()
  if not self.handle:is_closing() then
    self.handle:close()
  end
  fail_waiting(self, "closed by the test")
end

--- Opens a connection that is kept for many requests.
-- @tparam int port on 127.0.0.1
function M.connect(port)
  local self = setmetatable({port = port, handle = uv.new_tcp(), text = ""}, Connection)
  self.handle:nodelay(true)
  self.handle:connect("127.0.0.1", port, function(err)
    if err then
      return fail_waiting(self, err)
    end
    self.open = true
    self.handle:read_start(function(read_err, bytes) on_bytes(self, read_err, bytes) end)
    if self.pending then
      self.handle:write(self.pending)
    end
  end)
  return self
end

--- Starts a request on a connection of its own.
-- @tparam table options method, port, path, body, headers
-- @treturn Connection close() cancels it
function M.start(options, callback)
  local connection = M.connect(options.port)
  connection:send(options, function(response, err)
    connection:close()
    callback(response, err)
  end)
  return connection
end

--- A request that waits for its answer while the loop runs.
-- @treturn table response{status,headers,body}, or nil and the reason
function M.request(options)
  local response, reason, done
  local connection = M.start(options, function(answer, err)
    response, reason, done = answer, err, true
  end)
  local limit = loop.now_ms() + (options.timeout_ms or DEFAULT_TIMEOUT_MS)
  while not done do
    if loop.now_ms() > limit then
      connection:close()
      return nil, "no answer in time"
    end
    loop.turn(50)
  end
  return response, reason
end

return M
