--- One request to Consul: over to the next server when one fails, errors as text.
--
-- Knows servers, tokens, timeouts and how Consul says no. Knows no keys: those
-- are the client's. A server that works is kept for all requests until it fails.
local M = {}

local Transport = {}
Transport.__index = Transport

-- A Consul without a leader holds a request for 7 s before it says so.
local DEFAULT_TIMEOUT_MS = 10000
local EXCERPT_LENGTH = 200

local Error = {}
Error.__tostring = function(err) return err.message end

--- An error of a request; tostring() of it is its message.
function M.new_error(kind, message, status, code)
  return setmetatable({ kind = kind, message = message, status = status, code = code }, Error)
end

--- @tparam table deps `http` (core.http), `codec`, `log`, `file` (only when a token_file is named),
--   `settings` (of environment.resolve)
-- @treturn Transport
function M.new(deps)
  local self = setmetatable({
    http = deps.http, log = deps.log, file = deps.file, settings = deps.settings, current = 1,
  }, Transport)
  local settings = deps.settings
  if settings.auth then
    self.authorization = "Authorization: Basic " .. deps.codec.base64_encode(settings.auth)
  end
  self:read_token()
  return self
end

--- Takes the token from the settings, or reads its file (again).
-- @treturn boolean whether the token is another one than before
function Transport:read_token()
  local before = self.token
  local token = self.settings.token
  if not token and self.settings.token_file then
    local text, err = self.file.read(self.settings.token_file, 4096)
    token = text and text:match("^%s*(.-)%s*$")
    if not text and err ~= self.token_error then
      self.log.warn("Consul token_file cannot be read: " .. err)
    end
    self.token_error = err
  end
  -- Line ends would let a broken file write headers of its own.
  self.token = token and token ~= "" and not token:find("[%c]") and token or nil
  return self.token ~= before
end

--- Percent-encodes what is not safe in a path segment or a query value.
local function encode(text)
  return (text:gsub("[^%w._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Percent-encodes a path; its slashes stay.
function M.encode_path(path)
  return (path:gsub("[^%w._~/-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

local function query_string(query, settings)
  local all = { dc = settings.datacenter, ns = settings.namespace, partition = settings.partition }
  for name, value in pairs(query or {}) do all[name] = value end
  local parts = {}
  for name, value in pairs(all) do
    if value == true then
      parts[#parts + 1] = encode(name)
    elseif value ~= false then
      parts[#parts + 1] = encode(name) .. "=" .. encode(tostring(value))
    end
  end
  table.sort(parts)
  return #parts > 0 and "?" .. table.concat(parts, "&") or ""
end

local function request_headers(self)
  local headers = {}
  if self.token then headers[#headers + 1] = "X-Consul-Token: " .. self.token end
  if self.authorization then headers[#headers + 1] = self.authorization end
  return headers
end

--- The first words of an answer, fit for one line.
-- @tparam string body
-- @treturn string
function M.excerpt(body)
  local text = body:sub(1, EXCERPT_LENGTH):gsub("[%c]+", " "):match("^%s*(.-)%s*$")
  if text:find("^<") then return "an HTML page" end
  return text ~= "" and text or "an empty body"
end

local HINTS = {
  [301] = "the key holds // or /.. or the address is another one's; redirects are not followed",
  [403] = "give the agent a token with the permissions that the README lists",
  [413] = "the value or transaction is larger than Consul takes",
  [429] = "too many connections or requests from this machine",
}
HINTS[302], HINTS[307], HINTS[308] = HINTS[301], HINTS[301], HINTS[301]

local function status_message(self, request, response)
  local message = ("Consul at %s answered %s %s with %d: %s"):format(
    self.settings.servers[request.server].url, request.method, request.path, response.status, M.excerpt(response.body))
  local hint = HINTS[response.status]
  return hint and message .. " (" .. hint .. ")" or message
end

--- Whether another server may do better. A 500 is also how Consul refuses what
-- was asked ("invalid session"), so only the words of a sick server count.
local function is_sick(status, body)
  if status == 429 or status == 502 or status == 503 or status == 504 then return true end
  return status == 500 and (body:find("No cluster leader", 1, true) or body:find("rpc error", 1, true)
    or body:find("i/o deadline", 1, true) or body:find("leadership", 1, true)) ~= nil
end

local function is_page(response)
  return (response.headers["content-type"] or ""):find("text/html", 1, true) ~= nil
end

--- Judges an answer: the response for the caller, or an error.
local function judge(self, request, response)
  if is_page(response) or not (response.status == 200 or request.accept[response.status]) then
    return nil, M.new_error("http", status_message(self, request, response), response.status)
  end
  if response.headers["x-consul-results-filtered-by-acls"] == "true" then
    local message = "Consul hid a part of %s from this token; give it read permission for the prefix"
    return nil, M.new_error("http", message:format(request.path), 403)
  end
  return {
    status = response.status, headers = response.headers, body = response.body,
    index = math.tointeger(tonumber(response.headers["x-consul-index"])), is_second_try = request.tried > 0,
  }
end

local attempt

--- Notes why a server did not serve, and goes to the next one unless all were tried.
-- @treturn boolean whether an attempt was made
local function fail_over(self, request, failure)
  request.failures[request.server] = failure.message
  request.tried = request.tried + 1
  if request.tried >= #self.settings.servers then return false end
  if self.current == request.server then
    self.current = self.current % #self.settings.servers + 1
  end
  request.server = request.server % #self.settings.servers + 1
  attempt(self, request)
  return true
end

--- Ends a request that no server served. All of them are told, in the order of the configuration and not in that of the
-- tries, which differs from request to request: the same trouble reads the same.
local function nobody_served(self, request, last)
  local texts = {}
  for index = 1, #self.settings.servers do texts[#texts + 1] = request.failures[index] end
  request.finish(nil, M.new_error(last.kind, table.concat(texts, "; "), last.status, last.code))
end

--- The transport's words without method, address, times and counts: the same trouble reads the same, and ids that
-- stand in a query are not logged.
local function steady(message)
  return (message:gsub("^%u+ %S+: ", ""):gsub("%s+after %d+ ?m%a*", ""):gsub("%s+with %d+ [%w ]-bytes received", ""))
end

local function transport_failed(self, request, err)
  local server = self.settings.servers[request.server]
  local failure = M.new_error("transport", ("Consul at %s cannot be reached: %s"):format(
    server.unix_socket or server.url, steady(err.message or err.code)), nil, err.code)
  if not fail_over(self, request, failure) then nobody_served(self, request, failure) end
end

local function answered(self, request, response)
  local result, failure = judge(self, request, response)
  if is_sick(response.status, response.body) then
    if not fail_over(self, request, failure) then nobody_served(self, request, failure) end
    return
  end
  -- A rotated token is picked up with the next request.
  if response.status == 403 and self.settings.token_file then self:read_token() end
  self.current = request.server
  request.finish(result, failure)
end

function attempt(self, request)
  if request.guard and not request.guard() then
    return request.finish(nil, M.new_error("guard", ("%s %s was not sent: it is no longer allowed"):format(
      request.method, request.path)))
  end
  local settings, server = self.settings, self.settings.servers[request.server]
  request.handle = self.http.request({
    method = request.method,
    url = server.url .. request.path .. request.query,
    headers = request_headers(self),
    body = request.body,
    timeout_ms = request.timeout_ms, compressed = request.compressed,
    unix_socket = server.unix_socket,
    ca_file = settings.ca_file, cert_file = settings.cert_file, key_file = settings.key_file,
    tls_server_name = settings.tls_server_name, verify = settings.verify,
  }, function(response, err)
    request.handle = nil
    if response then answered(self, request, response) else transport_failed(self, request, err) end
  end)
end

--- Sends a request, to each server at most once.
-- @tparam string method
-- @tparam string path from "/v1/" on, percent-encoded
-- @tparam ?table options `query` (name → value, or true), `body`, `timeout_ms` (of one attempt, default 10000),
--   `accept` (statuses beside 200 that are an answer, as a set), `guard` (function asked right before each attempt:
--   false and it is not made), `compressed` (the answer may be large)
-- @tparam function callback ({status, headers, body, index, is_second_try (what another server was asked before may still
--   be done)}, err {kind = "transport"|"http"|"guard", status, code,
--   message}); tostring(err) is its message. Never called after a cancel.
-- @treturn table handle with cancel()
function Transport:request(method, path, options, callback)
  options = options or {}
  local request = {
    method = method, path = path, query = query_string(options.query, self.settings), body = options.body,
    timeout_ms = options.timeout_ms or DEFAULT_TIMEOUT_MS, accept = options.accept or {}, guard = options.guard,
    compressed = options.compressed,
    server = self.current, tried = 0, failures = {},
  }
  local over = false
  request.finish = function(response, err)
    if over then return end
    over = true
    callback(response, err)
  end
  attempt(self, request)
  return {
    cancel = function()
      over = true
      if request.handle then request.handle:cancel() end
      request.handle = nil
    end,
  }
end

return M
