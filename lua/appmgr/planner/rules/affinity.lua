--- Which nodes a task would rather be on, by what is known of a node and does
-- not change with placing.
local attribute = require("appmgr.planner.rules.attribute")
local canonical = require("appmgr.planner.rules.canonical")
local operators = require("appmgr.planner.rules.operators")

local M = {}

local function prepare(affinity)
  local read = assert(attribute.read(affinity.attribute))
  local value = assert(operators.read_value(affinity.operator, affinity.value))
  local text = value.list and canonical.of(value.list) or value.text
  return {
    attribute = read, operator = affinity.operator, value = value, weight = affinity.weight,
    key = canonical.of({ read.text, affinity.operator, text, affinity.weight }),
  }
end

--- Prepares the affinities of a task.
-- @tparam table task `affinities`: {attribute, operator, value, weight} read without errors
-- @treturn ?table nil when there are none with a weight; else `key` (equal keys give equal scores), `labels` (names it
--   looks at, sorted), `score(node)` → -1 to 1: the weights that apply, divided by all of them
function M.compile(task)
  local parts, labels, total = {}, {}, 0
  for _, affinity in ipairs(task.affinities or {}) do
    if affinity.weight ~= 0 then
      local part = prepare(affinity)
      parts[#parts + 1] = part
      total = total + math.abs(part.weight)
      if part.attribute.label then labels[part.attribute.label] = true end
    end
  end
  if #parts == 0 then return nil end
  table.sort(parts, function(a, b) return a.key < b.key end)
  local keys = {}
  for position, part in ipairs(parts) do keys[position] = part.key end

  local function score(node)
    local sum = 0
    for _, part in ipairs(parts) do
      if operators.holds(part.operator, attribute.value(part.attribute, node), part.value) then sum = sum + part.weight end
    end
    return sum / total
  end

  return { key = table.concat(keys, ";"), labels = canonical.sorted_keys(labels), score = score }
end

return M
