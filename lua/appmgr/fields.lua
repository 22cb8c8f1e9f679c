--- Reads the fields of a document by a schema: what is honoured, what is known
-- but not honoured yet, and what is unknown.
--
-- The three are kept apart because they mean different things to an operator:
-- an unknown field is a typing mistake, a field that is not honoured is a
-- promise that this version cannot keep.
local suggest = require("appmgr.suggest")

local M = {}

--- What reading a document found out.
-- @table Findings
-- @field errors texts; the document cannot be used
-- @field warnings texts; it can be used, but a field was ignored
-- @field unsupported names of known fields that this version does not honour

--- Empty findings.
-- @treturn Findings
function M.findings()
  return { errors = {}, warnings = {}, unsupported = {} }
end

local function known_fields(schema)
  local list = {}
  for name in pairs(schema.fields) do list[#list + 1] = name end
  for name in pairs(schema.later or {}) do list[#list + 1] = name end
  table.sort(list)
  return list
end

local function sorted_keys(document)
  local keys = {}
  for key in pairs(document) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

--- Adds one set of findings to another.
-- @tparam Findings into receives them
-- @tparam Findings from what to add
-- @tparam string at put before each, for example `content.`
function M.merge(into, from, at)
  for _, list in ipairs({ "errors", "warnings", "unsupported" }) do
    for _, text in ipairs(from[list]) do
      table.insert(into[list], at .. text)
    end
  end
end

--- Reads a decoded JSON object.
-- @tparam table document the object
-- @tparam table schema `fields`: name → function(value, findings) that returns
--   the normalised value, or nil and why not; `later`: set of names
-- @treturn table normalised values by field name
-- @treturn Findings
function M.read(document, schema)
  local values, findings = {}, M.findings()
  for _, key in ipairs(sorted_keys(document)) do
    local reader = type(key) == "string" and schema.fields[key]
    if reader then
      local value, reason = reader(document[key], findings)
      if value == nil then
        table.insert(findings.errors, ("%s: %s"):format(key, reason))
      end
      values[key] = value
    elseif schema.later and schema.later[key] then
      table.insert(findings.unsupported, key)
    else
      local hint = suggest.hint(tostring(key), known_fields(schema))
      table.insert(findings.warnings, ("%s: unknown field, it has no effect; %s"):format(key, hint))
    end
  end
  return values, findings
end

--- What to say of a field that is needed and not there: the one that was written instead, if one is near.
-- @tparam table document the object
-- @tparam table schema see `read`
-- @tparam string name of the field
-- @tparam ?string what it is for
-- @treturn ?string what stands behind "is missing; "
function M.instead(document, schema, name, what)
  local known = known_fields(schema)
  for _, key in ipairs(sorted_keys(document)) do
    local is_known = schema.fields[key] or schema.later and schema.later[key]
    if type(key) == "string" and not is_known and suggest.nearest(key, known) == name then
      return ("\"%s\" is no field, did you mean \"%s\"?"):format(key, name)
    end
  end
  return what
end

--- The same findings for a place where nothing may be ignored (the configuration).
-- @tparam Findings findings is not changed
-- @treturn {string,...} all of them as errors
function M.strict(findings)
  local errors = table.move(findings.errors, 1, #findings.errors, 1, {})
  for _, text in ipairs(findings.warnings) do
    errors[#errors + 1] = (text:gsub(", it has no effect", ""))
  end
  for _, name in ipairs(findings.unsupported) do
    errors[#errors + 1] = M.unsupported_text(name)
  end
  return errors
end

--- What to say about a known field that is not honoured.
-- @tparam string name
-- @treturn string
function M.unsupported_text(name)
  return name .. ": known, but not honoured by this version; remove it"
end

-- Readers that several documents share ------------------------------------

--- A reader of whole numbers.
-- @tparam integer low smallest
-- @tparam integer high largest
-- @treturn function
function M.integer(low, high)
  return function(value)
    local whole = math.type(value) and math.tointeger(value)
    if not whole or whole < low or whole > high then
      return nil, ("must be a whole number from %d to %d"):format(low, high)
    end
    return whole
  end
end

--- A reader of numbers.
-- @tparam number low smallest
-- @tparam number high largest
-- @treturn function
function M.number(low, high)
  return function(value)
    if not math.type(value) or value ~= value or value < low or value > high then
      return nil, ("must be a number from %.14g to %.14g"):format(low, high)
    end
    return value
  end
end

--- A reader of strings that can be handed to the operating system.
-- @tparam[opt] integer max_bytes longest
-- @treturn function
function M.text(max_bytes)
  return function(value)
    if type(value) ~= "string" then
      return nil, "must be a string"
    end
    if value:find("\0", 1, true) then
      return nil, "must not hold a NUL byte"
    end
    if max_bytes and #value > max_bytes then
      return nil, ("is %d bytes long; at most %d are allowed"):format(#value, max_bytes)
    end
    return value
  end
end

--- Whether a decoded value can be read as a JSON object. An empty array passes:
-- several programs write `[]` where nothing is meant.
-- @param value any
-- @treturn boolean
function M.is_object(value)
  return type(value) == "table" and #value == 0
end

return M
