--- The cluster as people look at it: tasks with their slots, nodes with their load.
local Nodes = require("appmgr.planner.nodes")
local moves = require("appmgr.planner.moves")
local reasons = require("appmgr.planner.reasons")
local room = require("appmgr.planner.room")
local Slots = require("appmgr.planner.slots")

local M = {}

local NOT_YET = 'the leader has not placed it yet; if that lasts, "appmgr status" on the leader\'s node says why'

local function row_of(node, replica)
  return node.status and node.status.rows[Nodes.slot_id(replica.task, replica.slot)]
end

-- A state only counts when it is about the version that was assigned.
local function state_of(holder)
  if holder.node.gone then return "away" end
  if holder.replica.leaving then return "leaving" end
  local row = row_of(holder.node, holder.replica)
  if not row then return holder.node.status and "assigned" or "unknown" end
  if row.version ~= holder.replica.version then return "updating" end
  return row.state or "unknown"
end

local HAS_ENDED <const> = { backoff = true, failed = true }

-- Why what was assigned does not run, as its node says.
local function error_of(row)
  if not row then return nil end
  if type(row.error) == "string" then return row.error end
  local code = HAS_ENDED[row.state] and math.tointeger(row["return"])
  return code and ("ended with %d"):format(code) or nil
end

-- Where the successor of a replica is that moves for balance, and why it moves.
local function move_of(successor)
  if not successor then return nil end
  local replica = successor.replica
  return { node = successor.node.name, slot = replica.slot, why = moves.reason(replica.moved) }
end

-- What a node that is gone still holds: since when it is, and until when the replica stays its own (absent where that lasts
-- until the node is back or somebody confirms that it is not to be waited for).
local function grace_of(holder, absence)
  local gone = holder.node.gone and absence.hosts[holder.node.name]
  return gone and { since = gone.since, until_time = gone.deadlines[holder.replica] } or nil
end

local function slot_rows(holders, absence)
  local rows, running, assigned = {}, 0, 0
  local successor_of = moves.pairs(holders)
  for position, holder in ipairs(holders) do
    local replica, state = holder.replica, state_of(holder)
    local row = row_of(holder.node, replica)
    rows[position] = {
      slot = replica.slot, node = holder.node.name, version = replica.version, since = replica.since, state = state,
      error = error_of(row), pid = row and math.tointeger(row.pid), memory = row and math.tointeger(row.memory),
      cpu = row and math.type(row.cpu) and row.cpu or nil, restarts = row and math.tointeger(row.restarts),
      ports = replica.ports, grace = grace_of(holder, absence),
      moving_to = move_of(successor_of[holder]), moved = replica.moved and moves.text(replica.moved) or nil,
    }
    if not replica.leaving then assigned = assigned + 1 end
    if state == "running" then running = running + 1 end
  end
  table.sort(rows, function(a, b)
    if a.slot ~= b.slot then return a.slot < b.slot end
    return a.node < b.node
  end)
  return rows, running, assigned
end

local function reason_rows(list)
  local rows = {}
  for position, reason in ipairs(list) do
    rows[position] = { code = reason.code, args = reason.args, count = reason.count, text = reasons.text(reason) }
  end
  return rows
end

-- A task that is held back lacks replicas, even though nobody tried to place them. What the engine places only here
-- nobody runs: only the leader's decision counts, and its policy may be another one than ours.
local function pending_of(state, assigned)
  local task = state.entry.task
  if state.mode ~= "kept" or not task or task.replication == "all" then return #state.pending + #state.placed end
  return math.max(0, task.replication - assigned)
end

local function reason_of(state, nodes)
  if #state.reasons > 0 then return reasons.sentence(state.reasons, nodes) end
  return #state.placed > 0 and NOT_YET or nil
end

local function sorted_names(set, json)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return json.array(list)
end

local function task_row(state, holders, snapshot, json)
  local entry = state.entry
  local task = entry.task
  local slots, running, assigned = slot_rows(holders, snapshot.absence)
  return {
    name = entry.name, replication = task and task.replication, priority = task and task.priority,
    version = task and task.version, running = running, assigned = assigned,
    resources = task and task.resources, resources_defaulted = task and sorted_names(task.resources_defaulted, json),
    pending = pending_of(state, assigned),
    reasons = json.array(reason_rows(state.reasons)),
    reason = reason_of(state, #snapshot.nodes),
    error = #entry.errors > 0 and table.concat(entry.errors, "; ") or nil,
    warnings = json.array(table.move(entry.warnings, 1, #entry.warnings, 1, {})), slots = json.array(slots),
  }
end

-- What of a removed task is still there is worth a row until it is gone.
local function removed_row(name, holders, absence, json)
  local slots, running, assigned = slot_rows(holders, absence)
  return {
    name = name, removed = true, running = running, assigned = assigned, pending = 0, reasons = json.array({}),
    warnings = json.array({}), slots = json.array(slots),
  }
end

local function node_row(node, held, room_of, json)
  local leaving, running = 0, 0
  for _, replica in ipairs(held) do
    if replica.leaving then leaving = leaving + 1 end
    local row = row_of(node, replica)
    if row and row.state == "running" then running = running + 1 end
  end
  return {
    name = node.name, labels = node.labels, capacity = node.capacity, eligible = node.eligible, drain = node.drain,
    drain_deadline = node.drain_deadline, wait_for_room = node.wait_for_room or nil, room = room_of(node, held),
    gone_since = node.gone_since, grace_until = node.grace_until,
    stranger = node.stranger or nil, error = node.error, cluster = node.cluster, incarnation = node.incarnation,
    version = node.version, candidate = node.candidate, replicas = #held - leaving, leaving = leaving,
    running = running, local_applications = sorted_names(node.local_names, json),
  }
end

--- What a task has on nodes that are gone.
-- @tparam table snapshot see model.snapshot
-- @tparam string task its name
-- @treturn {table,...} `slot`, `node`, `since`, `until_time` (unix s; absent where that lasts until the node is back, or
--   somebody confirms that nobody waits for it), in the order of slots
function M.away(snapshot, task)
  local list = {}
  for _, holder in ipairs(Slots.holders_by_task(snapshot)[task] or {}) do
    local grace = grace_of(holder, snapshot.absence)
    if grace then
      grace.slot, grace.node = holder.replica.slot, holder.node.name
      list[#list + 1] = grace
    end
  end
  table.sort(list, function(a, b) return a.slot < b.slot end)
  return list
end

--- Builds the report.
-- @tparam table snapshot see model.snapshot
-- @tparam Engine engine that has decided on that snapshot
-- @tparam table json appmgr.json
-- @treturn table `tasks` and `nodes`, both sorted by name
function M.build(snapshot, engine, json)
  local by_task, tasks, nodes = Slots.holders_by_task(snapshot), {}, {}
  for _, entry in ipairs(snapshot.tasks) do
    local name = entry.name
    tasks[#tasks + 1] = task_row(engine:task_state(name), by_task[name] or {}, snapshot, json)
    by_task[name] = nil
  end
  for name, holders in pairs(by_task) do
    tasks[#tasks + 1] = removed_row(name, holders, snapshot.absence, json)
  end
  table.sort(tasks, function(a, b) return a.name < b.name end)
  local room_of = room.accountant(snapshot.tasks)
  for position, node in ipairs(snapshot.nodes) do
    nodes[position] = node_row(node, snapshot.held[node.name] or {}, room_of, json)
  end
  return { tasks = json.array(tasks), nodes = json.array(nodes) }
end

return M
