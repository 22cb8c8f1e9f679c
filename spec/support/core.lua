--- What specs of documents and of the planner need of the core: the real
-- modules inside `appmgr lua`, stand-ins with the same promises elsewhere.
--
--     local core = require("spec.support.core")
--     core.json, core.codec, core.sandbox

local M = {}

-- JSON ----------------------------------------------------------------------

local ARRAY = { __name = "array" }
local NULL = setmetatable({}, { __tostring = function() return "null" end })

local function is_array(value)
  return getmetatable(value) == ARRAY or (type(value) == "table" and #value > 0)
end

local encode

local function encode_table(value)
  local parts = {}
  if is_array(value) then
    for index, item in ipairs(value) do parts[index] = encode(item) end
    return "[" .. table.concat(parts, ",") .. "]"
  end
  local keys = {}
  for key in pairs(value) do
    assert(type(key) == "string", "json: a table is either array or object")
    keys[#keys + 1] = key
  end
  table.sort(keys)
  for index, key in ipairs(keys) do parts[index] = encode(key) .. ":" .. encode(value[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

function encode(value)
  if value == NULL then return "null" end
  if type(value) == "table" then return encode_table(value) end
  if type(value) == "string" then
    return '"' .. value:gsub('[%c"\\]', function(c)
      return (c == '"' or c == "\\") and "\\" .. c or ("\\u%04x"):format(c:byte())
    end) .. '"'
  end
  assert(value == value and (math.type(value) or type(value) == "boolean"), "json: cannot encode this value")
  return math.type(value) == "float" and ("%.17g"):format(value) or tostring(value)
end

local function stand_in_json()
  local dkjson = require("dkjson")

  -- Nulls in objects are dropped, nulls in arrays are kept; as core.json does.
  local function tidy(value)
    if type(value) ~= "table" or value == NULL then return value end
    for key, item in pairs(value) do
      if item == NULL and getmetatable(value) ~= ARRAY then value[key] = nil else tidy(item) end
    end
    if getmetatable(value) ~= ARRAY then setmetatable(value, nil) end
    return value
  end

  local json = { encode = encode, null = NULL, is_array = is_array }
  function json.decode(text)
    local value, stop, err = dkjson.decode(text, 1, NULL, {}, ARRAY)
    if err then return nil, err end
    if text:find("%S", stop) then return nil, "garbage after the value" end
    return tidy(value)
  end
  function json.duplicate() end
  function json.array(t)
    return setmetatable(t, ARRAY)
  end
  return json
end

-- Codec ---------------------------------------------------------------------

local ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

local function base64_encode(bytes)
  return (bytes:gsub("..?.?", function(group)
    local a, b, c = group:byte(1, 3)
    local word = a << 16 | (b or 0) << 8 | (c or 0)
    local text = ""
    for index = 0, #group do
      local digit = word >> (18 - 6 * index) & 63
      text = text .. ALPHABET:sub(digit + 1, digit + 1)
    end
    return text .. ("="):rep(3 - #group)
  end))
end

local VALUES = {}
for index = 1, #ALPHABET do VALUES[ALPHABET:byte(index)] = index - 1 end

local function base64_decode(text)
  if #text % 4 ~= 0 or text:find("[^A-Za-z0-9+/=]") then return nil, "no base64" end
  return (text:gsub("....", function(group)
    local word, digits = 0, #group:gsub("=", "")
    for index = 1, 4 do word = word << 6 | (VALUES[group:byte(index)] or 0) end
    return string.char(word >> 16 & 255, word >> 8 & 255, word & 255):sub(1, digits - 1)
  end))
end

-- Not SHA-256; 64 digits that depend on every byte are all that specs need.
local function fake_sha256(bytes)
  local digits = {}
  for seed = 1, 4 do
    local hash = 0xcbf29ce484222325 ~ seed
    for index = 1, #bytes do hash = (hash ~ bytes:byte(index)) * 0x100000001b3 end
    digits[seed] = ("%016x"):format(hash)
  end
  return table.concat(digits)
end

-- Sandbox -------------------------------------------------------------------

local function resolve(names)
  local environment = {}
  for _, name in ipairs(names) do
    local library, field = name:match("^(%w+)%.(.+)$")
    if not library then
      environment[name] = _G[name]
    else
      environment[library] = environment[library] or {}
      for key, value in pairs(_G[library]) do
        if field == "*" or field == key then environment[library][key] = value end
      end
    end
  end
  return environment
end

local TIMEOUT = {}

local function call(fn, limits, ...)
  local thread = coroutine.create(fn)
  debug.sethook(thread, function() error(TIMEOUT, 0) end, "", limits.instructions)
  local results = table.pack(coroutine.resume(thread, ...))
  if results[1] then return "ok", table.unpack(results, 2, results.n) end
  if results[2] == TIMEOUT then
    return "timeout", "over the instruction budget", debug.traceback(thread)
  end
  return "error", tostring(results[2]), debug.traceback(thread)
end

local function stand_in_sandbox()
  return {
    environment = resolve,
    call = call,
    load = function(source, name, environment) return load(source, name, "t", environment) end,
  }
end

local function core_or(name, stand_in)
  local found, module = pcall(require, "core." .. name)
  if found then return module end
  module = stand_in()
  package.preload["core." .. name] = function() return module end
  return module
end

M.json = core_or("json", stand_in_json)
M.sandbox = core_or("sandbox", stand_in_sandbox)
M.codec = core_or("codec", function()
  return { base64_encode = base64_encode, base64_decode = base64_decode, sha256 = fake_sha256 }
end)

return M
