--- What Consul's KV answers and transactions look like, from and to tables.
--
-- Pure. A document that is not what Consul writes is refused whole: half an
-- answer is worth less than none.
local M = {}

local function unprefixed(key, prefix)
  if key:sub(1, #prefix) == prefix then return key:sub(#prefix + 1) end
end

--- One KV object.
local function entry(kv, prefix, codec)
  if type(kv) ~= "table" or type(kv.Key) ~= "string" then return nil, "an entry has no Key" end
  local key = unprefixed(kv.Key, prefix)
  if not key then return nil, ('key "%s" is outside "%s"'):format(kv.Key, prefix) end
  local value
  if kv.Value ~= nil then
    local err
    if type(kv.Value) ~= "string" then return nil, ('key "%s": Value is no string'):format(kv.Key) end
    value, err = codec.base64_decode(kv.Value)
    if not value then return nil, ('key "%s": Value is no base64: %s'):format(kv.Key, err or "bad text") end
  end
  return {
    key = key, value = value, session = kv.Session,
    modify_index = kv.ModifyIndex, lock_index = kv.LockIndex, flags = kv.Flags,
  }
end

--- Decodes the answer of `GET /v1/kv/…`.
-- @tparam string body
-- @tparam string prefix with its slash; keys are told without it
-- @tparam table deps `json`, `codec`
-- @treturn table|nil array of {key, value (nil: empty), session, modify_index, lock_index, flags}
-- @treturn ?string why not
function M.entries(body, prefix, deps)
  local listing, err = deps.json.decode(body)
  if type(listing) ~= "table" then return nil, "no listing of keys: " .. (err or "no array") end
  if next(listing) ~= nil and #listing == 0 then return nil, "no listing of keys: an object" end
  local entries = {}
  for i, kv in ipairs(listing) do
    entries[i], err = entry(kv, prefix, deps.codec)
    if not entries[i] then return nil, "no listing of keys: " .. err end
  end
  return entries
end

--- Decodes the answer of `GET /v1/kv/…?keys`.
-- @treturn table|nil array of keys without the prefix
-- @treturn ?string why not
function M.keys(body, prefix, deps)
  local listing, err = deps.json.decode(body)
  if type(listing) ~= "table" then return nil, "no list of keys: " .. (err or "no array") end
  local keys = {}
  for i, key in ipairs(listing) do
    keys[i] = type(key) == "string" and unprefixed(key, prefix)
    if not keys[i] then return nil, "no list of keys: an element is no key under " .. prefix end
  end
  return keys
end

--- Encodes a transaction of KV operations.
-- @tparam table operations array of {verb, key (without prefix), value (bytes), session, index, flags}
-- @tparam string prefix with its slash
-- @tparam table deps `json`, `codec`
-- @treturn string body for `PUT /v1/txn`
function M.encode_transaction(operations, prefix, deps)
  local list = {}
  for i, operation in ipairs(operations) do
    list[i] = { KV = {
      Verb = assert(operation.verb, "an operation has a verb"),
      Key = prefix .. assert(operation.key, "an operation has a key"),
      Value = operation.value and deps.codec.base64_encode(operation.value) or nil,
      Session = operation.session, Index = operation.index, Flags = operation.flags,
    } }
  end
  return deps.json.encode(deps.json.array(list))
end

--- Decodes the answer of a transaction, applied (200) or refused (409).
-- @treturn table|nil {entries = as of `entries`, errors = {{operation (from 1), message}…}}
-- @treturn ?string why not
function M.transaction_answer(body, prefix, deps)
  local answer, err = deps.json.decode(body)
  if type(answer) ~= "table" then return nil, "no answer to a transaction: " .. (err or "no object") end
  local result = { entries = {}, errors = {} }
  for i, item in ipairs(type(answer.Results) == "table" and answer.Results or {}) do
    result.entries[i], err = entry(type(item) == "table" and item.KV, prefix, deps.codec)
    if not result.entries[i] then return nil, "no answer to a transaction: " .. err end
  end
  for i, item in ipairs(type(answer.Errors) == "table" and answer.Errors or {}) do
    if type(item) ~= "table" then return nil, "no answer to a transaction: an error is no object" end
    result.errors[i] = { operation = (math.tointeger(item.OpIndex) or 0) + 1, message = tostring(item.What) }
  end
  return result
end

return M
