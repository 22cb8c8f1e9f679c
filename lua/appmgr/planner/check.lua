--- Checks a decision before anything of it is written. The engine promises all
-- of this; a promise this important is worth looking at twice.
local hosting = require("appmgr.planner.hosting")

local M = {}

local function index_tasks(snapshot)
  local tasks = {}
  for _, entry in ipairs(snapshot.tasks) do tasks[entry.name] = entry.task end
  return tasks
end

local function held_slots(snapshot)
  local held = {}
  for _, node in ipairs(snapshot.nodes) do
    for _, replica in ipairs(snapshot.held[node.name] or {}) do
      held[node.name .. " " .. replica.task .. " " .. replica.slot] = true
    end
  end
  return held
end

-- A replica that was not there before has to obey every rule.
local function check_new(replica, node, task)
  if not task then return "no such task" end
  if #task.unsupported > 0 then return "the task must stay pending" end
  if task.replication ~= "all" and replica.slot >= task.replication then return "more slots than its replication" end
  local reason = hosting.rejects(task, node)
  return reason and "the node is no choice: " .. reason.code
end

local function check_node(node, replicas, context)
  local on_node = {}
  for _, replica in ipairs(replicas) do
    local name, task = replica.task, context.tasks[replica.task]
    local is_new = not context.held[node.name .. " " .. name .. " " .. replica.slot]
    local reason = is_new and check_new(replica, node, task)
    local slot = name .. "." .. replica.slot
    on_node[name] = (on_node[name] or 0) + 1
    if not replica.leaving then
      if context.seen[slot] then reason = "it is on " .. context.seen[slot] .. " too" end
      context.seen[slot] = node.name
    end
    if is_new and task and task.replication ~= "all" and on_node[name] > task.max_per_node then
      reason = "more than max_per_node"
    end
    if reason then
      return ("%s on %s: %s"):format(slot, node.name, reason)
    end
  end
end

--- Checks what each node shall hold.
-- @tparam table snapshot see model.snapshot
-- @tparam table desired replicas by host
-- @treturn ?string what is wrong; nil when nothing is
function M.violation(snapshot, desired)
  local context = { tasks = index_tasks(snapshot), held = held_slots(snapshot), seen = {} }
  local nodes = {}
  for _, node in ipairs(snapshot.nodes) do nodes[node.name] = node end
  for host in pairs(desired) do
    if not nodes[host] then return "unknown host " .. host end
  end
  for _, node in ipairs(snapshot.nodes) do
    local violation = desired[node.name] and check_node(node, desired[node.name], context)
    if violation then return violation end
  end
end

return M
