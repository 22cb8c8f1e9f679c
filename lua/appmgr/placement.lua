--- The fields of a task that say where it may be and what it needs there.
--
-- Nothing in them is ignored: a wish that is not understood must not be placed
-- against, so what is unknown is an error of the document.
local amounts = require("appmgr.amounts")
local attribute = require("appmgr.planner.rules.attribute")
local fields = require("appmgr.fields")
local names = require("appmgr.names")
local operators = require("appmgr.planner.rules.operators")
local port_name = require("appmgr.port_name")
local resources = require("appmgr.planner.rules.resources")

local M = {}

local MAX_ENTRIES <const> = 64
local MAX_TARGETS <const> = 256

--- What stands at `key` of an entry, read; the first thing that is wrong ends it.
local function read_entry(value, schema)
  if not fields.is_object(value) then return nil, "must be an object" end
  local entry, findings = fields.read(value, schema)
  local error = fields.strict(findings)[1]
  if error then return nil, error end
  return entry
end

--- A reader of one thing or an array of them.
-- @tparam function read function(value) → what was read | nil, why not
local function list_of(read)
  return function(value)
    local is_array = type(value) == "table" and (#value > 0 or next(value) == nil)
    local items = is_array and value or { value }
    if #items > MAX_ENTRIES then return nil, ("has %d entries; at most %d are allowed"):format(#items, MAX_ENTRIES) end
    local list = {}
    for position, item in ipairs(items) do
      local entry, reason = read(item)
      if not entry then return nil, is_array and ("entry %d: %s"):format(position, reason) or reason end
      list[position] = entry
    end
    return list
  end
end

-- Constraints and affinities --------------------------------------------------

local function read_attribute(value)
  local read, reason = attribute.read(value)
  return read and value, reason
end

local function read_operator(value)
  local known, reason = operators.check(value)
  return known and value, reason
end

local function keep(value) return value end

local function read_weight(value)
  local whole = math.type(value) and math.tointeger(value)
  if not whole or whole < -100 or whole > 100 then return nil, "must be a whole number from -100 to 100" end
  return whole
end

local CONSTRAINT = { fields = { attribute = read_attribute, operator = read_operator, value = keep } }
local AFFINITY = {
  fields = { attribute = read_attribute, operator = read_operator, value = keep, weight = read_weight },
}

local function read_comparison(value, schema, needed)
  local entry, reason = read_entry(value, schema)
  if not entry then return nil, reason end
  for _, name in ipairs(needed) do
    if entry[name] == nil then return nil, name .. ": is missing" end
  end
  local read, why = operators.read_value(entry.operator, entry.value)
  if not read then return nil, "value: " .. why end
  return entry
end

local function read_constraint(value)
  return read_comparison(value, CONSTRAINT, { "attribute", "operator" })
end

local function read_affinity(value)
  return read_comparison(value, AFFINITY, { "attribute", "operator", "weight" })
end

-- Tasks together and apart ----------------------------------------------------

local function read_task_name(value)
  local ok, reason = names.check(value, "task name")
  return ok and value, reason
end

local function read_per(value)
  if value == "node" then return value end
  local label = type(value) == "string" and value:match("^label%.(.*)$")
  if not label then return nil, 'must be "node" or "label.<name>"' end
  local ok, reason = names.check_label(label)
  return ok and value, reason
end

local RELATION = { fields = { task = read_task_name, per = read_per } }

local function read_relation(value)
  if type(value) == "string" then value = { task = value } end
  local entry, reason = read_entry(value, RELATION)
  if not entry then return nil, reason end
  if not entry.task then return nil, "task: is missing" end
  entry.per = entry.per or "node"
  return entry
end

-- Spread ----------------------------------------------------------------------

local function read_label(value)
  local ok, reason = names.check_label(value)
  return ok and value, reason
end

local function read_targets(value)
  if not fields.is_object(value) then return nil, "must be an object of values and percentages" end
  local targets, sum, count = {}, 0, 0
  for name, percent in pairs(value) do
    local is_percentage = math.type(percent) and percent >= 0 and percent <= 100
    if not is_percentage then return nil, ("%s must be a percentage, 0 to 100"):format(tostring(name)) end
    targets[name], sum, count = percent, sum + percent, count + 1
  end
  if count > MAX_TARGETS then return nil, ("has %d values; at most %d are allowed"):format(count, MAX_TARGETS) end
  if sum > 100.001 then return nil, ("add up to %g percent; at most 100 are there to share"):format(sum) end
  return next(targets) and targets or false
end

local SPREAD = { fields = { label = read_label, targets = read_targets } }

local function read_spread(value)
  if type(value) == "string" then value = { label = value } end
  local entry, reason = read_entry(value, SPREAD)
  if not entry then return nil, reason end
  if not entry.label then return nil, "label: is missing" end
  entry.targets = entry.targets or nil
  return entry
end

-- Ports -----------------------------------------------------------------------

local function read_port(name, value)
  local ok, reason = port_name.check(name)
  if not ok then return nil, reason end
  if value == "dynamic" then return { name = name } end
  local number = math.type(value) and math.tointeger(value)
  if not number or number < 1 or number > 65535 then
    return nil, ('%s must be a number from 1 to 65535, or "dynamic" for one of the node\'s range'):format(name)
  end
  return { name = name, number = number }
end

local function find_double(list)
  local numbers, variables = {}, {}
  for _, port in ipairs(list) do
    local variable = port_name.variable(port.name)
    if port.number and numbers[port.number] then
      return ("%s and %s have the same number"):format(numbers[port.number], port.name)
    end
    if variables[variable] then
      return ("%s and %s would both be %s"):format(variables[variable], port.name, variable)
    end
    if port.number then numbers[port.number] = port.name end
    variables[variable] = port.name
  end
  return nil
end

local function read_ports(value)
  if not fields.is_object(value) then return nil, 'must be an object, such as { "http": 8080, "admin": "dynamic" }' end
  local list = {}
  for name, number in pairs(value) do
    local port, reason = read_port(name, number)
    if not port then return nil, reason end
    list[#list + 1] = port
  end
  if #list > MAX_ENTRIES then return nil, ("has %d ports; at most %d are allowed"):format(#list, MAX_ENTRIES) end
  table.sort(list, function(a, b) return a.name < b.name end)
  local double = find_double(list)
  if double then return nil, double end
  return list
end

--- Readers of the fields, for a schema.
M.READERS = {
  constraints = list_of(read_constraint),
  affinities = list_of(read_affinity),
  with = list_of(read_relation),
  apart_from = list_of(read_relation),
  spread = list_of(read_spread),
  resources = amounts.read,
  ports = read_ports,
}

--- Fields of lists, which are there also where the document has none.
M.LISTS = { "constraints", "affinities", "with", "apart_from", "spread", "ports" }

--- Completes the fields of a task that was read.
-- @tparam table task changed: lists are there, `resources` has the defaults, `resources_defaulted` the set of their names
function M.complete(task)
  for _, name in ipairs(M.LISTS) do task[name] = task[name] or {} end
  local asked = task.resources or {}
  task.resources, task.resources_defaulted = {}, {}
  for name, amount in pairs(asked) do task.resources[name] = amount end
  for name, amount in pairs(resources.DEFAULTS) do
    if not asked[name] then task.resources[name], task.resources_defaulted[name] = amount, true end
  end
end

--- What the fields of one task cannot say together.
-- @tparam table task with its `name`
-- @treturn ?string
function M.contradiction(task)
  for _, relation in ipairs(task.with or {}) do
    for _, other in ipairs(task.apart_from or {}) do
      if other.task == relation.task and other.per == relation.per then
        return ('with, apart_from: both name "%s" (per %s); it cannot be there and not there'):format(other.task, other.per)
      end
    end
  end
  return nil
end

return M
