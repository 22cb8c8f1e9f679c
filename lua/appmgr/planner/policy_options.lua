--- The options of a policy: what it declares, and what the configuration gives.
local fields = require("appmgr.fields")
local suggest = require("appmgr.suggest")

local M = {}

local IS_TYPE = {
  integer = function(value) return math.type(value) ~= nil and math.tointeger(value) ~= nil end,
  number = function(value) return math.type(value) ~= nil and value == value end,
  string = function(value) return type(value) == "string" end,
  boolean = function(value) return type(value) == "boolean" end,
}

local TYPES = "integer, number, string or boolean"

local function declare_one(name, option)
  if type(name) ~= "string" or type(option) ~= "table" then
    return nil, ("%s: an option is a name with { type = …, default = … }"):format(tostring(name))
  end
  local is_type = IS_TYPE[option.type]
  if not is_type then return nil, ("%s.type: must be %s"):format(name, TYPES) end
  if not is_type(option.default) then return nil, ("%s.default: must be of type %s"):format(name, option.type) end
  for key, value in pairs(option) do
    if key == "description" and type(value) ~= "string" then return nil, name .. ".description: must be a string" end
    if key ~= "type" and key ~= "default" and key ~= "description" then
      return nil, ("%s.%s: is unknown; an option has type, default and description"):format(name, tostring(key))
    end
  end
  return true
end

--- Reads what a policy declares.
-- @param value of the field `options`: name → { type = "integer", default = 1, description = "…" }
-- @treturn[1] table the same
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.declare(value)
  if not fields.is_object(value) then return nil, "must be a table of options by name" end
  local names = {}
  for name in pairs(value) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do
    local ok, reason = declare_one(name, value[name])
    if not ok then return nil, reason end
  end
  return value
end

--- The values a policy runs with.
-- @tparam table declared from `declare`
-- @tparam table given values by name, from the configuration
-- @treturn[1] table values by name, the defaults where nothing is given
-- @treturn[2] nil
-- @treturn[2] string what is wrong with what is given
function M.read(declared, given)
  local names, values = {}, {}
  for name, option in pairs(declared) do
    names[#names + 1], values[name] = name, option.default
  end
  table.sort(names)
  for name, value in pairs(given) do
    local option = declared[name]
    if not option then
      local hint = #names == 0 and "it takes no options; remove it" or suggest.hint(tostring(name), names)
      return nil, ("option \"%s\": is not declared by the policy; %s"):format(tostring(name), hint)
    end
    if not IS_TYPE[option.type](value) then
      return nil, ("option \"%s\": must be of type %s"):format(name, option.type)
    end
    values[name] = option.type == "integer" and math.tointeger(value) or value
  end
  return values
end

return M
