--- Tasks that shall be together, and tasks that shall be apart: on a node, or
-- where nodes share the value of a label.
local canonical = require("appmgr.planner.rules.canonical")

local M = {}

--- Where a node is, in the sense of a relation.
-- @tparam table relation
-- @tparam table node
-- @treturn ?string its name, or its value of the label; nil when it has none
function M.place(relation, node)
  if relation.label then return node.labels[relation.label] end
  return node.name
end

local function relation_of(kind, task, per)
  return { kind = kind, task = task, per = per, label = per:match("^label%.(.+)$") }
end

--- Prepares the relations of a task.
-- @tparam table task `with` and `apart_from`: {task, per ("node" or "label.<name>")}
-- @treturn ?table nil when there are none; else an array of relations, `kind` ("with" or "apart_from"), `task`, `per`,
--   `label` (nil per node); and `key`, `labels` (names they look at, sorted), `tasks` (names they look at, sorted)
function M.compile(task)
  local list, labels, tasks, keys = {}, {}, {}, {}
  for _, kind in ipairs({ "with", "apart_from" }) do
    for _, item in ipairs(task[kind] or {}) do
      local relation = relation_of(kind, item.task, item.per)
      list[#list + 1] = relation
      tasks[item.task] = true
      if relation.label then labels[relation.label] = true end
      keys[#keys + 1] = canonical.of({ kind, item.task, item.per })
    end
  end
  if #list == 0 then return nil end
  table.sort(keys)
  list.key, list.labels, list.tasks = table.concat(keys, ";"), canonical.sorted_keys(labels), canonical.sorted_keys(tasks)
  return list
end

--- The same relation as it binds the other task: who is to be kept away from a task must not be put beside it later.
-- @tparam table relation of kind "apart_from"
-- @tparam string owner the task that asks for it
-- @treturn table a relation for `relation.task`
function M.mirrored(relation, owner)
  local made = relation_of("apart_from", owner, relation.per)
  made.is_mirrored = true
  return made
end

--- Whether a relation lets a replica be on a node.
-- @tparam table relation
-- @tparam ?string place from `place`
-- @tparam integer count how many replicas of `relation.task` are at that place, not counting the one that is to be placed
-- @treturn ?table nil when it does, else the reason
function M.rejects(relation, place, count)
  if not place then
    return { code = "relation_missing", args = { label = relation.label, kind = relation.kind, task = relation.task } }
  end
  local is_with = relation.kind == "with"
  if is_with == (count > 0) then return nil end
  local code = is_with and "with" or relation.is_mirrored and "kept_apart" or "apart_from"
  return { code = code, args = { task = relation.task, per = relation.per, value = place } }
end

return M
