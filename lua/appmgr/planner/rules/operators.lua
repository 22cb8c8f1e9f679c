--- The operators of constraints and affinities: what value each takes, and how
-- it compares.
--
-- A node without the attribute meets `!=`, `not_in` and `is_not_set`, and
-- nothing else. Values are compared as text (`4` and `"4"` are the same), but by
-- `< <= > >=` as numbers and by `version` as versions; a node whose value is no
-- number, or no version, does not meet them.
local glob = require("appmgr.planner.glob")
local suggest = require("appmgr.suggest")
local version = require("appmgr.planner.rules.version")

local M = {}

--- Longest text of a value, in bytes.
M.MAX_BYTES = 256

local MAX_LIST <const> = 256

--- A value as text: strings, numbers and booleans have one.
local function text_of(value)
  if type(value) == "string" then return value end
  if type(value) == "boolean" then return tostring(value) end
  if not math.type(value) or value ~= value or math.abs(value) == math.huge then return nil end
  local whole = math.tointeger(value)
  return whole and tostring(whole) or ("%.14g"):format(value)
end

local function read_text(value)
  local text = text_of(value)
  if not text then return nil, "must be a string or a number" end
  if #text > M.MAX_BYTES then
    return nil, ("is %d bytes long; at most %d are allowed"):format(#text, M.MAX_BYTES)
  end
  return { text = text }
end

--- A number as a label may hold it: decimal, nothing else.
local function number_of(value)
  if type(value) == "string" then
    value = #value <= M.MAX_BYTES and value:find("^[+-]?%d+%.?%d*$") and tonumber(value) or nil
  end
  if not math.type(value) or value ~= value or math.abs(value) == math.huge then return nil end
  return math.tointeger(value) or value
end

local function read_number(value)
  local number = number_of(value)
  if not number then return nil, 'must be a number; for versions such as 1.10 use the operator "version"' end
  return { number = number, text = text_of(number) }
end

local function read_list(value)
  if type(value) ~= "table" or #value == 0 then return nil, "must be an array of strings that is not empty" end
  if #value > MAX_LIST then return nil, ("has %d entries; at most %d are allowed"):format(#value, MAX_LIST) end
  local set, list = {}, {}
  for position, item in ipairs(value) do
    local read, reason = read_text(item)
    if not read then return nil, ("entry %d %s"):format(position, reason) end
    if not set[read.text] then list[#list + 1] = read.text end
    set[read.text] = true
  end
  table.sort(list)
  return { set = set, list = list, text = table.concat(list, ", ") }
end

local function read_pattern(value)
  local read, reason = read_text(value)
  if not read then return nil, reason end
  if read.text == "" then return nil, 'must be a pattern such as "web-*"; is_not_set asks for nodes without it' end
  -- Several stars in a row mean what one means.
  return { text = (read.text:gsub("%*+", "*")) }
end

local function read_version(value)
  local wanted, reason = version.read_wanted(math.type(value) and text_of(value) or value)
  if not wanted then return nil, reason end
  return { wanted = wanted, text = wanted.text }
end

local function read_nothing(value)
  if value ~= nil then return nil, "must not stand there: the operator takes none" end
  return { text = "" }
end

local function numeric(compare)
  return { read = read_number, test = function(actual, value)
    local number = number_of(actual)
    return number ~= nil and compare(number, value.number)
  end }
end

local OPERATORS = {
  ["="] = { read = read_text, test = function(actual, value) return text_of(actual) == value.text end },
  ["!="] = { read = read_text, absent = true, test = function(actual, value) return text_of(actual) ~= value.text end },
  ["<"] = numeric(function(a, b) return a < b end),
  ["<="] = numeric(function(a, b) return a <= b end),
  [">"] = numeric(function(a, b) return a > b end),
  [">="] = numeric(function(a, b) return a >= b end),
  ["in"] = { read = read_list, test = function(actual, value) return value.set[text_of(actual)] == true end },
  not_in = { read = read_list, absent = true, test = function(actual, value) return not value.set[text_of(actual)] end },
  glob = { read = read_pattern, test = function(actual, value) return glob.matches(value.text, text_of(actual)) end },
  version = { read = read_version, test = function(actual, value)
    local read = version.read(text_of(actual))
    return read ~= nil and version.meets(read, value.wanted)
  end },
  is_set = { read = read_nothing, test = function() return true end },
  is_not_set = { read = read_nothing, absent = true, test = function() return false end },
}

--- The names of all operators.
M.NAMES = { "=", "!=", "<", "<=", ">", ">=", "in", "not_in", "glob", "version", "is_set", "is_not_set" }

--- Whether there is such an operator.
-- @param name any value
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why not
function M.check(name)
  if type(name) == "string" and OPERATORS[name] then return true end
  local known = table.concat(M.NAMES, " ")
  local shown = type(name) == "string" and #name <= 32 and ('"%s"'):format(name) or "that"
  local hint = type(name) == "string" and #name <= 32 and suggest.nearest(name, M.NAMES)
  return nil, ("%s is no operator; %sthere are %s"):format(shown,
    hint and ('did you mean "%s"? '):format(hint) or "", known)
end

--- Reads the value that an operator compares with.
-- @tparam string name of the operator
-- @param value as decoded
-- @treturn[1] table for `holds`; `text` is the same for all ways to write it
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function M.read_value(name, value)
  return OPERATORS[name].read(value)
end

--- Whether a node's value is as asked for.
-- @tparam string name of the operator
-- @param actual string, integer, or nil where the node has none
-- @tparam table value from `read_value`
-- @treturn boolean
function M.holds(name, actual, value)
  local operator = OPERATORS[name]
  if actual == nil then return operator.absent == true end
  return operator.test(actual, value)
end

return M
