--- Consul's keys, sessions and catalog as the tests see and change them.
-- Mixed into every Consul of consul.lua (and into a proxy's port): needs `self.http_port`,
-- and `self.token` where ACLs deny by default. Keys are relative to `appmgr/`.
local json = require("dkjson")
local base64 = require("tests.lib.base64")
local http = require("tests.lib.http")

local M = {}

M.PREFIX = "appmgr/"

local function escape(key)
  return (key:gsub("[^%w/._~-]", function(c) return ("%%%02X"):format(c:byte()) end))
end

--- Any request to this Consul.
-- @treturn table response{status,headers,body}, or nil and the reason
function M:request(method, path, body, timeout_ms)
  local headers = self.token and {"X-Consul-Token: " .. self.token} or nil
  return http.request{port = self.http_port, method = method, path = path, body = body, headers = headers, timeout_ms = timeout_ms}
end

local function expect(response, err)
  if not response then
    error("Consul does not answer: " .. tostring(err), 3)
  elseif response.status ~= 200 then
    error(("Consul says %d: %s"):format(response.status, response.body), 3)
  end
  return response.body
end

--- One key with all that Consul tells about it; nil when it is absent.
-- @treturn table {key, value, session, modify_index}
function M:entry(key)
  local response, err = self:request("GET", "/v1/kv/" .. M.PREFIX .. escape(key))
  if response and response.status == 404 then
    return nil, "no key " .. key
  end
  local raw = json.decode(expect(response, err), 1, nil)[1]
  return {
    key = raw.Key:sub(#M.PREFIX + 1), value = raw.Value and base64.decode(raw.Value),
    session = raw.Session, modify_index = raw.ModifyIndex, flags = raw.Flags,
  }
end

--- The text of a key, nil when absent.
function M:get(key)
  local entry = self:entry(key)
  return entry and (entry.value or "")
end

--- The document of a key, decoded; nil when absent or no JSON.
function M:document(key)
  local text = self:get(key)
  return text and (json.decode(text))
end

--- All keys under a folder, relative and sorted.
function M:keys(folder)
  local response, err = self:request("GET", "/v1/kv/" .. M.PREFIX .. escape(folder) .. "?keys")
  if response and response.status == 404 then
    return {}
  end
  local list = json.decode(expect(response, err))
  for i, key in ipairs(list) do
    list[i] = key:sub(#M.PREFIX + 1)
  end
  return list
end

--- Writes text, or a table as JSON. `query` such as "cas=0" or "acquire=<id>".
-- @treturn boolean what Consul answered
function M:put(key, value, query)
  local text = type(value) == "table" and json.encode(value) or value
  local path = "/v1/kv/" .. M.PREFIX .. escape(key) .. (query and "?" .. query or "")
  return expect(self:request("PUT", path, text)):find("true", 1, true) ~= nil
end

--- Deletes a key; with `recurse` everything that begins so.
function M:delete(key, recurse)
  expect(self:request("DELETE", "/v1/kv/" .. M.PREFIX .. escape(key) .. (recurse and "?recurse" or "")))
end

--- A transaction of KV operations; values are given as plain text.
-- @treturn int status, table answer
function M:transaction(operations)
  for _, operation in ipairs(operations) do
    operation.Key = M.PREFIX .. operation.Key
    operation.Value = operation.Value and base64.encode(operation.Value)
  end
  for i, operation in ipairs(operations) do
    operations[i] = {KV = operation}
  end
  local response = assert(self:request("PUT", "/v1/txn", json.encode(operations)))
  return response.status, json.decode(response.body)
end

--- Creates a session of the test's own.
function M:session_create(options)
  options = options or {}
  options.NodeChecks = json.decode("[]")
  return json.decode(expect(self:request("PUT", "/v1/session/create", json.encode(options)))).ID
end

--- A session with Consul's own field names; nil when it does not exist.
function M:session(id)
  return json.decode(expect(self:request("GET", "/v1/session/info/" .. id)))[1]
end

--- All sessions.
function M:sessions()
  return json.decode(expect(self:request("GET", "/v1/session/list")))
end

function M:session_destroy(id)
  expect(self:request("PUT", "/v1/session/destroy/" .. id))
end

--- Names of the catalog's nodes.
function M:catalog_nodes()
  local names = {}
  for i, node in ipairs(json.decode(expect(self:request("GET", "/v1/catalog/nodes")))) do
    names[i] = node.Node
  end
  table.sort(names)
  return names
end

--- Who leads: the host named by the key `leader` while a session holds it. One who resigned leaves its name there.
function M:leader()
  local entry = self:entry("leader")
  return entry and entry.session and (json.decode(entry.value)) or nil
end

return M
