--- A KV store with Consul's rules for transactions, and the bytes it would answer.
--
--     local store = require("spec.support.store").new("appmgr/")
--     store:put("task/web", text)
--     store:listing("task/")        body of GET …?recurse, or nil (404)
--     store:transaction(body)       status, body
local core = require("spec.support.core")

local json, codec = core.json, core.codec

local Store = {}
Store.__index = Store

--- @tparam string prefix of all keys, with its slash
-- @treturn Store
function Store.new(prefix)
  return setmetatable({ prefix = prefix, keys = {}, index = 10 }, Store)
end

--- Writes a key; the same value again changes no index.
function Store:put(key, value, session, flags)
  local entry = self.keys[key]
  flags = flags or 0
  if entry and entry.value == value and entry.session == session and entry.flags == flags then return end
  self.index = self.index + 1
  self.keys[key] = { value = value, session = session, flags = flags, index = self.index }
end

function Store:delete(key)
  if self.keys[key] then
    self.index = self.index + 1
    self.keys[key] = nil
  end
end

function Store:value(key)
  return self.keys[key] and self.keys[key].value
end

--- @treturn integer ModifyIndex of a key, 0 when it is absent
function Store:index_of(key)
  return self.keys[key] and self.keys[key].index or 0
end

function Store:entry(key, without_value)
  local entry = self.keys[key]
  local value = entry.value ~= "" and not without_value and codec.base64_encode(entry.value) or nil
  return {
    Key = self.prefix .. key, Value = value, Session = entry.session, ModifyIndex = entry.index,
    Flags = entry.flags, LockIndex = 0,
  }
end

local function starts_with(text, prefix)
  return text:sub(1, #prefix) == prefix
end

function Store:entries(folder)
  local names = {}
  for key in pairs(self.keys) do
    if starts_with(key, folder) then names[#names + 1] = key end
  end
  table.sort(names)
  if self.shuffle then self.shuffle(names) end
  local list = {}
  for position, key in ipairs(names) do list[position] = self:entry(key) end
  return list
end

--- The body of a recursive read, nil where Consul says 404.
function Store:listing(folder)
  local list = self:entries(folder)
  return #list > 0 and json.encode(json.array(list)) or nil
end

--- The body of a listing of keys, nil where Consul says 404.
function Store:key_listing(folder)
  local keys = {}
  for position, entry in ipairs(self:entries(folder)) do keys[position] = entry.Key end
  return #keys > 0 and json.encode(json.array(keys)) or nil
end

--- The body of the leader's audit.
function Store:audit()
  local results = {}
  for _, folder in ipairs({ "assignment/", "topology/", "confirm/", "meta", "leader" }) do
    for _, entry in ipairs(self:entries(folder)) do results[#results + 1] = { KV = entry } end
  end
  return json.encode({ Results = json.array(results), Index = self.index })
end

local VERBS = {
  ["check-session"] = function(self, operation, key)
    local entry = self.keys[key]
    if not entry or entry.session ~= operation.Session then return "failed session check for key" end
  end,
  ["check-not-exists"] = function(self, _, key)
    if self.keys[key] then return ("key %q exists"):format(key) end
  end,
  ["check-index"] = function(self, operation, key)
    if self:index_of(key) ~= operation.Index or not self.keys[key] then return "failed index check for key" end
  end,
  cas = function(self, operation, key)
    local entry = self.keys[key]
    if (entry and entry.index or 0) ~= operation.Index then return "index is stale" end
    self:put(key, codec.base64_decode(operation.Value or ""))
    return nil, key
  end,
  set = function(self, operation, key)
    self:put(key, codec.base64_decode(operation.Value or ""))
    return nil, key
  end,
  delete = function(self, _, key) self:delete(key) end,
  ["delete-cas"] = function(self, operation, key)
    local entry = self.keys[key]
    if entry and entry.index ~= operation.Index then return "index is stale" end
    self:delete(key)
  end,
}

--- Runs a transaction: all of it or nothing.
-- @treturn integer status
-- @treturn string body
function Store:transaction(body)
  local operations = assert(json.decode(body))
  if #operations > 64 or #body > 524288 then return 413, "too large" end
  local before_keys, before_index = {}, self.index
  for key, entry in pairs(self.keys) do before_keys[key] = entry end
  local results = {}
  for position, item in ipairs(operations) do
    local operation = item.KV
    assert(starts_with(operation.Key, self.prefix), "a key outside of the prefix")
    local err, written = VERBS[operation.Verb](self, operation, operation.Key:sub(#self.prefix + 1))
    if err then
      self.keys, self.index = before_keys, before_index
      return 409, json.encode({ Errors = json.array({ { OpIndex = position - 1, What = err } }) })
    end
    if written then results[#results + 1] = { KV = self:entry(written, true) } end
  end
  return 200, json.encode({ Results = json.array(results) })
end

return Store
