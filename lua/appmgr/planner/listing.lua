--- Reads Consul's answers: KV listings, key listings and transactions.
local M = {}

-- The prefix is a byte prefix of every key the answer may hold.
local function relative(key, prefix)
  if type(key) == "string" and key:sub(1, #prefix) == prefix then
    return key:sub(#prefix + 1)
  end
end

local function entry_of(raw, deps)
  local key = type(raw) == "table" and relative(raw.Key, deps.prefix)
  if not key then
    return nil, "an entry outside of " .. deps.prefix
  end
  local value
  if raw.Value ~= nil and raw.Value ~= deps.json.null then
    local reason
    value, reason = deps.codec.base64_decode(raw.Value)
    if not value then
      return nil, key .. ": " .. reason
    end
  end
  return { key = key, value = value, session = raw.Session, index = raw.ModifyIndex or 0, flags = raw.Flags or 0 }
end

local function decode_array(text, deps)
  local document, reason = deps.json.decode(text)
  if type(document) ~= "table" then
    return nil, "no JSON: " .. tostring(reason or document)
  end
  return document
end

--- Reads a KV listing (`?recurse`, or a single key).
-- @tparam string text body of a 200
-- @tparam table deps `json`, `codec`, `prefix` (with its slash)
-- @treturn[1] {entry,...} `key` (relative), `value` (nil when empty), `session`, `index`, `flags`
-- @treturn[2] nil
-- @treturn[2] string reason
function M.read(text, deps)
  local document, reason = decode_array(text, deps)
  if not document then return nil, reason end
  local entries = {}
  for position, raw in ipairs(document) do
    entries[position], reason = entry_of(raw, deps)
    if not entries[position] then return nil, reason end
  end
  return entries
end

--- Reads a listing of keys (`?keys`).
-- @tparam string text body of a 200
-- @tparam table deps see `read`
-- @treturn[1] {string,...} relative keys
-- @treturn[2] nil
-- @treturn[2] string reason
function M.read_keys(text, deps)
  local document, reason = decode_array(text, deps)
  if not document then return nil, reason end
  local keys = {}
  for position, key in ipairs(document) do
    keys[position] = relative(key, deps.prefix)
    if not keys[position] then return nil, "a key outside of " .. deps.prefix end
  end
  return keys
end

--- Reads the answer of a transaction.
-- @tparam string text body of a 200 or 409
-- @tparam table deps see `read`
-- @treturn[1] {entry,...} what it read or wrote, see `read`
-- @treturn[1] {table,...} errors: `operation` (from 1), `text`
-- @treturn[2] nil
-- @treturn[2] string reason
function M.read_transaction(text, deps)
  local document, reason = decode_array(text, deps)
  if not document then return nil, reason end
  local entries, errors = {}, {}
  for _, result in ipairs(document.Results or {}) do
    local entry
    entry, reason = entry_of(result.KV, deps)
    if not entry then return nil, reason end
    entries[#entries + 1] = entry
  end
  for _, err in ipairs(document.Errors or {}) do
    errors[#errors + 1] = { operation = (err.OpIndex or -1) + 1, text = tostring(err.What) }
  end
  return entries, errors
end

return M
