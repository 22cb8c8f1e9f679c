--- The placement engine: from a snapshot of the cluster to what each node shall
-- hold. A pure function; the same snapshot gives the same answer.
--
-- Three passes over the tasks, in the order of priority and name:
--   1. slots.settle      what stays, what leaves, what has left
--   2. placement.place   nodes for the slots that have none (policy)
--   3. rollout.advance   the next slot to its new version
-- The first pass ends before the second begins, so that room that is given up
-- by one task can be taken by any other.
local assignment = require("appmgr.assignment")
local placement = require("appmgr.planner.placement")
local record = require("appmgr.planner.record")
local rollout = require("appmgr.planner.rollout")
local slots = require("appmgr.planner.slots")

local M = {}

M.DEFAULT_LIMITS = {
  max_replicas_per_node = 1000,
  task_deadline_ms = 1000,
  task_instructions = 1000000,
  node_instructions = 2000,
  rescore_instructions = 200,
  max_wasted_instructions = 60000000,
}

-- Tasks that stand nowhere but in assignments.
local function removed_names(snapshot, by_task)
  local listed, names = {}, {}
  for _, entry in ipairs(snapshot.tasks) do listed[entry.name] = true end
  for name in pairs(by_task) do
    if not listed[name] then names[#names + 1] = name end
  end
  table.sort(names)
  return names
end

local function settle_all(snapshot)
  local by_task, states = slots.holders_by_task(snapshot), {}
  for _, name in ipairs(removed_names(snapshot, by_task)) do
    states[#states + 1] = slots.settle(snapshot, nil, by_task[name])
  end
  for _, entry in ipairs(snapshot.tasks) do
    states[#states + 1] = slots.settle(snapshot, entry, by_task[entry.name] or {})
  end
  for _, state in ipairs(states) do
    state.placed, state.pending, state.reasons, state.moved, state.unproven = {}, {}, {}, {}, {}
  end
  return states
end

local function count_holders(run, states)
  for _, state in ipairs(states) do
    for _, list in ipairs({ state.staying, state.leaving }) do
      for _, holder in ipairs(list) do
        local name = holder.node.name
        run.total[name] = run.total[name] + 1
        if list == state.staying then
          run.replicas[name] = run.replicas[name] + 1
          run.cluster_replicas = run.cluster_replicas + 1
        end
      end
    end
  end
end

local function task_values(task)
  return {
    name = task.name, replication = task.replication, priority = task.priority, max_per_node = task.max_per_node,
    condition = record.map(task.condition),
  }
end

-- What placing needs; the records are made once and see each change.
local function new_run(snapshot, policy, options)
  local limits = setmetatable({}, {
    __index = function(_, name) return options.limits and options.limits[name] or M.DEFAULT_LIMITS[name] end,
  })
  local run = {
    snapshot = snapshot, policy = policy, policy_error = options.policy_error, limits = limits, places = {},
    total = {}, replicas = {}, cluster_replicas = 0, failures = {}, asked = 0, wasted_instructions = 0, task_values = task_values,
  }
  run.cluster_seen = { nodes = #snapshot.nodes, replicas = 0 }
  run.cluster = policy and policy.new_cluster(run.cluster_seen)
  for position, node in ipairs(snapshot.nodes) do
    local seen = {
      name = node.name, position = position - 1, labels = record.map(node.labels),
      capacity = record.map(node.capacity), replicas = 0, task_replicas = 0,
    }
    run.places[position] = { node = node, seen = seen, record = policy and policy.new_node(seen) }
    run.total[node.name], run.replicas[node.name] = 0, 0
  end
  return run
end

local function hold_back(state, reason)
  state.pending, state.reasons = state.to_place, { reason }
end

local function kept_reason(entry)
  if entry.task then
    return { code = "unsupported", args = { fields = table.concat(entry.task.unsupported, ", ") } }
  end
  return { code = "invalid", args = { error = table.concat(entry.errors, "; ") } }
end

-- Slots that cannot be placed yet because they have not stopped elsewhere.
local function add_blocked(state)
  local replication, waiting = state.entry.task.replication, {}
  if replication == "all" then return end
  for slot in pairs(state.blocked) do
    if slot < replication and not state.taken[slot] then waiting[#waiting + 1] = slot end
  end
  if #waiting == 0 then return end
  table.sort(waiting)
  for _, slot in ipairs(waiting) do
    state.pending[#state.pending + 1] = slot
    local args = { slot = slot, node = state.blocked[slot].node.name }
    state.reasons[#state.reasons + 1] = { code = "leaving", args = args }
  end
  table.sort(state.pending)
end

local function first_of(set)
  local first
  for name in pairs(set) do
    if not first or name < first then first = name end
  end
  return first
end

local function place_all(run, states)
  local unreadable = first_of(run.snapshot.unreadable)
  for _, state in ipairs(states) do
    if state.mode == "kept" then
      state.reasons = { kept_reason(state.entry) }
    elseif state.mode == "normal" then
      if #run.snapshot.nodes == 0 then
        hold_back(state, { code = "no_nodes" })
      elseif unreadable then
        hold_back(state, { code = "host_unreadable", args = { node = unreadable } })
      else
        placement.place(run, state)
      end
    end
  end
end

local function roll_all(run, states)
  for _, state in ipairs(states) do
    if state.mode == "normal" then
      state.moved, state.unproven = rollout.advance(state.entry.task, state.staying, run.snapshot.now)
    end
  end
end

local function desired_of(snapshot, states)
  local desired = {}
  for _, node in ipairs(snapshot.nodes) do
    if not snapshot.unreadable[node.name] then desired[node.name] = {} end
  end
  for _, state in ipairs(states) do
    for _, list in ipairs({ state.staying, state.leaving }) do
      for _, holder in ipairs(list) do
        local replicas = desired[holder.node.name]
        replicas[#replicas + 1] = holder.result
      end
    end
  end
  for _, replicas in pairs(desired) do table.sort(replicas, assignment.before) end
  return desired
end

-- Hosts whose status decides what happens next.
local function status_hosts(snapshot, states)
  local hosts = {}
  for host in pairs(snapshot.unreadable) do hosts[host] = true end
  for _, state in ipairs(states) do
    for _, list in ipairs({ state.leaving, state.unproven }) do
      for _, holder in ipairs(list) do hosts[holder.node.name] = true end
    end
  end
  return hosts
end

-- When the policy failed for every task it was asked about, it is the policy;
-- when it was asked about a single one, it may be the task.
local function outcome_of(run)
  local first = run.failures[1]
  if first and #run.failures >= run.asked and run.asked ~= 1 then
    return first.outcome, first.message
  end
  return "ok"
end

--- Decides.
-- @tparam table snapshot see model.snapshot; not changed
-- @tparam ?Policy policy nil when none could be loaded: nothing new is placed
-- @tparam table options `limits` (DEFAULT_LIMITS where absent), `policy_error`
-- @treturn table `desired` (replicas by host), `states` (one for each task, see
--   slots.settle and placement.place), `status_hosts` (set), `outcome`,
--   `outcome_message`
function M.decide(snapshot, policy, options)
  local run = new_run(snapshot, policy, options)
  local states = settle_all(snapshot)
  count_holders(run, states)
  place_all(run, states)
  roll_all(run, states)
  for _, state in ipairs(states) do
    if state.mode == "normal" then add_blocked(state) end
  end
  local outcome, message = outcome_of(run)
  return {
    desired = desired_of(snapshot, states), states = states, status_hosts = status_hosts(snapshot, states),
    outcome = outcome, outcome_message = message,
  }
end

return M
