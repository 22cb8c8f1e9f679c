--- Which nodes a task may be on, by what is known of a node and does not change
-- with placing: its `condition` and its `constraints`.
--
-- The answer for a node depends on nothing but the key and the node, so that
-- one answer does for all tasks that ask for the same.
local attribute = require("appmgr.planner.rules.attribute")
local canonical = require("appmgr.planner.rules.canonical")
local glob = require("appmgr.planner.glob")
local operators = require("appmgr.planner.rules.operators")

local M = {}

local function condition_rule(label, pattern)
  return {
    key = canonical.of({ "condition", label, pattern }), label = label,
    unmet = function(node)
      local value = node.labels[label]
      if value and glob.matches(pattern, value) then return nil end
      return {
        code = value and "condition" or "condition_missing",
        args = { label = label, pattern = pattern, value = value },
      }
    end,
  }
end

--- What is asked for, in words.
local function wanted_text(operator, value)
  if operator == "is_set" or operator == "is_not_set" then return operator end
  if operator == "in" or operator == "not_in" then return ("%s (%s)"):format(operator, value.text) end
  if operator == "version" then return "version " .. value.text end
  return ("%s %s"):format(operator, value.text)
end

local function constraint_rule(constraint)
  local read = assert(attribute.read(constraint.attribute))
  local operator = constraint.operator
  local value = assert(operators.read_value(operator, constraint.value))
  local wanted = wanted_text(operator, value)
  local parts = { "constraint", read.text, operator, value.list and canonical.of(value.list) or value.text }
  return {
    key = canonical.of(parts), label = read.label,
    unmet = function(node)
      local actual = attribute.value(read, node)
      if operators.holds(operator, actual, value) then return nil end
      return {
        code = actual ~= nil and "constraint" or "constraint_missing",
        args = { attribute = read.text, wanted = wanted, value = actual },
      }
    end,
  }
end

local function by_key(a, b) return a.key < b.key end

--- The rules of a task in the order of their keys, each once.
local function rules_of(task)
  local all, list = {}, {}
  for label, pattern in pairs(task.condition or {}) do all[#all + 1] = condition_rule(label, pattern) end
  for _, constraint in ipairs(task.constraints or {}) do all[#all + 1] = constraint_rule(constraint) end
  table.sort(all, by_key)
  for position, rule in ipairs(all) do
    if position == 1 or rule.key ~= all[position - 1].key then list[#list + 1] = rule end
  end
  return list
end

local function labels_of(rules)
  local set = {}
  for _, rule in ipairs(rules) do
    if rule.label then set[rule.label] = true end
  end
  return canonical.sorted_keys(set)
end

--- Prepares what a task asks of a node.
-- @tparam table task `condition` (label → pattern), `constraints` ({attribute, operator, value}, read without errors)
-- @treturn table `key` (equal keys give equal answers for any node, "" where it asks for nothing), `labels` (names it
--   looks at, sorted), `check(node)` → nil or the first reason, `check_all(node)` → all reasons. A node has `name`,
--   `hostname`, `labels` and `capacity`
function M.compile(task)
  local rules = rules_of(task)
  local keys = {}
  for position, rule in ipairs(rules) do keys[position] = rule.key end
  local compiled = { key = table.concat(keys, ";"), labels = labels_of(rules) }

  function compiled.check(node)
    for position = 1, #rules do
      local reason = rules[position].unmet(node)
      if reason then return reason end
    end
    return nil
  end

  function compiled.check_all(node)
    local list = {}
    for _, rule in ipairs(rules) do list[#list + 1] = rule.unmet(node) end
    return list
  end

  return compiled
end

return M
