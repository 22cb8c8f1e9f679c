--- The Consul that the rest of the agent sees: keys, sessions, transactions.
--
-- Keys are given and told without the prefix. Success is what Consul's body
-- says, never the status alone: a refused acquire is 200 with the body "false".
-- An answer that Consul would not write is an error, never an absence.
local environment = require("appmgr.consul.environment")
local transport = require("appmgr.consul.transport")
local documents = require("appmgr.consul.documents")

local M = {}

local Client = {}
Client.__index = Client

local WAIT_JITTER_NUMERATOR, WAIT_JITTER_DENOMINATOR = 17, 16 -- Consul adds up to wait/16
local WAIT_MARGIN_MS = 10000
local SHORT_BODY = 256

--- @tparam table deps `http` (core.http), `timer`, `log`, `codec` (core.codec), `json`, `config` (the `Consul` block),
--   `environment` (function: name → value), `file` (core.file, for token_file)
-- @treturn Client|nil
-- @treturn ?string what is wrong with the settings
function M.new(deps)
  local settings, err = environment.resolve(deps.config, deps.environment)
  if not settings then return nil, "Consul: " .. err end
  if settings.warning then deps.log.warn("Consul: " .. settings.warning) end
  local self = setmetatable({
    codec = deps.codec, json = deps.json, prefix = settings.prefix .. "/", settings = settings,
  }, Client)
  self.transport = transport.new({
    http = deps.http, codec = deps.codec, log = deps.log, file = deps.file, settings = settings,
  })
  local tools = { json = deps.json, codec = deps.codec }

  --- Decodes the listing that `get` delivered.
  -- @treturn table|nil array of {key, value (nil: empty), session, modify_index, lock_index, flags}; nil, err
  function self.entries(body) return documents.entries(body, self.prefix, tools) end

  --- Decodes the list that `get` with `keys` delivered.
  -- @treturn table|nil array of keys; nil, err
  function self.keys(body) return documents.keys(body, self.prefix, tools) end

  --- Encodes operations {verb, key, value (bytes), session, index, flags} for `transaction`.
  function self.encode_transaction(operations) return documents.encode_transaction(operations, self.prefix, tools) end

  --- Decodes what `transaction` delivered.
  -- @treturn table|nil {entries, errors = {{operation, message}…}}; nil, err
  function self.transaction_answer(body) return documents.transaction_answer(body, self.prefix, tools) end
  return self
end

--- Any request; see Transport:request.
function Client:request(method, path, options, callback)
  return self.transport:request(method, path, options, callback)
end

--- A short stand-in for a body, to see whether the next one is another.
function Client:fingerprint(body)
  return #body <= SHORT_BODY and body or self.codec.sha256(body)
end

local function key_path(self, key)
  local full = self.prefix .. key
  local redirected = full:find("//", 1, true) or ("/" .. full .. "/"):find("/%.%.?/")
  assert(not redirected, "a key that Consul would redirect: " .. full)
  return "/v1/kv/" .. transport.encode_path(full)
end

local function trimmed(body)
  return body:match("^%s*(.-)%s*$")
end

local function strange(response, what)
  local message = "%s was answered with %d and %s, which Consul does not write; is its address right?"
  return transport.new_error("http",
    message:format(what, response.status, transport.excerpt(response.body)), response.status)
end

--- Whether a body is whole: Consul's listings begin with [ and end with ].
local function is_listing(body)
  return body:find("^%s*%[") ~= nil and body:find("%]%s*$", -16) ~= nil
end

local function read_options(options)
  local query = {}
  if options.recurse then query.recurse = true end
  if options.keys then query.keys = true end
  if options.consistent then query.consistent = true end
  local timeout_ms
  if options.index and options.index > 0 then
    local wait_s = options.wait_s or 25
    query.index, query.wait = options.index, ("%ds"):format(wait_s)
    timeout_ms = wait_s * 1000 * WAIT_JITTER_NUMERATOR // WAIT_JITTER_DENOMINATOR + WAIT_MARGIN_MS
  end
  -- Only what grows with the cluster is worth compressing: for a key alone both sides would work more than they save.
  local compressed = options.recurse or options.keys
  return { query = query, timeout_ms = timeout_ms, accept = { [404] = true }, compressed = compressed }
end

--- Reads a key, a tree or the keys of a tree.
-- @tparam string key ends with "/" for a tree
-- @tparam ?table options `recurse`, `keys`, `consistent`, `index` (blocks until it moves) with `wait_s` (25)
-- @tparam function callback ({status = 200|404, index (nil when missing), body (raw)}, err)
-- @treturn table handle with cancel()
function Client:get(key, options, callback)
  return self:request("GET", key_path(self, key), read_options(options or {}), function(response, err)
    if not response then return callback(nil, err) end
    local absent = response.status == 404
    -- A 404 with words in it comes from something else than Consul's KV.
    if absent and trimmed(response.body) ~= "" or not absent and not is_listing(response.body) then
      return callback(nil, strange(response, "GET " .. key))
    end
    callback({ status = response.status, index = response.index, body = absent and "" or response.body })
  end)
end

--- Reads the one word that a write is answered with.
local function expect_boolean(what, callback)
  return function(response, err)
    if not response then return callback(nil, err) end
    local word = trimmed(response.body)
    if word == "true" then return callback(true) end
    if word == "false" then return callback(false) end
    callback(nil, strange(response, what))
  end
end

--- Writes a key.
-- @tparam string key
-- @tparam string value bytes
-- @tparam ?table options `acquire` or `release` (session id), `cas` (index, 0 for absent), `timeout_ms`, `guard`
-- @tparam function callback (true | false: refused | nil, err)
-- @treturn table handle with cancel()
function Client:put(key, value, options, callback)
  options = options or {}
  return self:request("PUT", key_path(self, key), {
    query = { acquire = options.acquire, release = options.release, cas = options.cas },
    body = value, timeout_ms = options.timeout_ms, guard = options.guard,
  }, expect_boolean("PUT " .. key, callback))
end

--- Deletes a key; an absent one is a success.
-- @tparam ?table options `cas` (index), `timeout_ms`
-- @tparam function callback (true | false: refused | nil, err)
function Client:delete(key, options, callback)
  options = options or {}
  return self:request("DELETE", key_path(self, key), {
    query = { cas = options.cas }, timeout_ms = options.timeout_ms,
  }, expect_boolean("DELETE " .. key, callback))
end

--- Sends a transaction.
-- @tparam string body of `encode_transaction`
-- @tparam ?table options `consistent` (read-only ones), `guard`, `timeout_ms`
-- @tparam function callback ({status = 200|409, body (raw), is_second_try}, err); 409 says that nothing was applied, by this
--   try at least
function Client:transaction(body, options, callback)
  options = options or {}
  return self:request("PUT", "/v1/txn", {
    query = { consistent = options.consistent or nil }, body = body,
    guard = options.guard, timeout_ms = options.timeout_ms, accept = { [409] = true },
  }, function(response, err)
    if not response then return callback(nil, err) end
    if not (response.body:find("^%s*{") and response.body:find("}%s*$", -16)) then
      return callback(nil, strange(response, "a transaction"))
    end
    callback({ status = response.status, body = response.body, is_second_try = response.is_second_try })
  end)
end

--- Decodes a body and hands the result to `check`, which returns a result or nil.
local function expect_document(self, what, check, callback)
  return function(response, err)
    if not response then return callback(nil, err) end
    local document = self.json.decode(response.body)
    local result
    if type(document) == "table" then result = check(document) end
    if result == nil then return callback(nil, strange(response, what)) end
    callback(result)
  end
end

--- Makes a session.
-- @tparam table fields as Consul names them (Name, Node, TTL, Behavior, LockDelay, NodeChecks)
-- @tparam function callback (id | nil, err)
function Client:session_create(fields, callback)
  return self:request("PUT", "/v1/session/create", { body = self.json.encode(fields) },
    expect_document(self, "session/create", function(document)
      return type(document.ID) == "string" and #document.ID == 36 and document.ID or nil
    end, callback))
end

local function session_entry(id)
  return function(document)
    local entry = document[1]
    return type(entry) == "table" and entry.ID == id and entry or nil
  end
end

--- Renews a session.
-- @tparam string id
-- @tparam ?table options `timeout_ms`
-- @tparam function callback (entry {ID, Node, TTL…} | false: Consul does not know it | nil, err)
function Client:session_renew(id, options, callback)
  local accept = expect_document(self, "session/renew", session_entry(id), callback)
  return self:request("PUT", "/v1/session/renew/" .. id, {
    timeout_ms = options and options.timeout_ms, accept = { [404] = true },
  }, function(response, err)
    if not response or response.status == 200 then return accept(response, err) end
    -- Only Consul's own words end a session: a proxy's 404 does not.
    if response.body:find(id, 1, true) then return callback(false) end
    callback(nil, strange(response, "session/renew"))
  end)
end

--- Lists the sessions bound to a catalog node.
-- @tparam ?table options `timeout_ms`
-- @tparam function callback (array of entries | nil, err)
function Client:sessions_of_node(node, options, callback)
  return self:request("GET", "/v1/session/node/" .. transport.encode_path(node),
    { timeout_ms = options and options.timeout_ms },
    expect_document(self, "session/node", function(document) return document end, callback))
end

--- Ends a session; an unknown one is a success.
-- @tparam ?table options `timeout_ms`
-- @tparam function callback (true | false | nil, err)
function Client:session_destroy(id, options, callback)
  return self:request("PUT", "/v1/session/destroy/" .. id, { timeout_ms = options and options.timeout_ms },
    expect_boolean("session/destroy", callback))
end

--- Enters a node into the catalog.
-- @tparam table fields as Consul names them (Node, Address, NodeMeta)
-- @tparam function callback (true | nil, err)
function Client:catalog_register(fields, callback)
  return self:request("PUT", "/v1/catalog/register", { body = self.json.encode(fields) },
    expect_boolean("catalog/register", callback))
end

--- Removes a node, and with it all its sessions, from the catalog.
-- @tparam ?table options `timeout_ms`
-- @tparam function callback (true | nil, err)
function Client:catalog_deregister(node, options, callback)
  return self:request("PUT", "/v1/catalog/deregister", {
    body = self.json.encode({ Node = node }), timeout_ms = options and options.timeout_ms,
  }, expect_boolean("catalog/deregister", callback))
end

return M
