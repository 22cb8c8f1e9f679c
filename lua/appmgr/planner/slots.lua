--- Sorts out what the nodes hold of one task: which slots stay, which leave,
-- which have left, and which have to be placed.
--
-- A slot leaves in two steps, so that it never runs twice without anybody having
-- to remember anything: first it is marked as leaving in the assignment, and when the
-- status of a node that acts on the mark no longer shows it, it goes from the
-- assignment and may be placed.
local Nodes = require("appmgr.planner.nodes")
local hosting = require("appmgr.planner.hosting")

local M = {}

--- What the live nodes hold, by task.
-- @tparam table snapshot `nodes` and `held` (replicas by node's name)
-- @treturn table arrays of {node, replica} by the task's name
function M.holders_by_task(snapshot)
  local by_task = {}
  for _, node in ipairs(snapshot.nodes) do
    for _, replica in ipairs(snapshot.held[node.name] or {}) do
      local list = by_task[replica.task] or {}
      by_task[replica.task] = list
      list[#list + 1] = { node = node, replica = replica }
    end
  end
  return by_task
end

local function holder_order(a, b)
  if a.replica.slot ~= b.replica.slot then return a.replica.slot < b.replica.slot end
  local a_leaves, b_leaves = a.replica.leaving == true, b.replica.leaving == true
  if a_leaves ~= b_leaves then return b_leaves end
  if a.replica.since ~= b.replica.since then return a.replica.since < b.replica.since end
  return a.node.name < b.node.name
end

-- Why one holder may not stay, in view of those before it.
local function reason_to_leave(task, holder, taken, on_node)
  local slot, node = holder.replica.slot, holder.node
  if taken[slot] then return { code = "duplicate" } end
  if task.replication ~= "all" and slot >= task.replication then return { code = "replication" } end
  local limit = task.replication == "all" and 1 or task.max_per_node
  if (on_node[node.name] or 0) >= limit then return { code = "max_per_node", args = { limit = limit } } end
  return hosting.must_leave(task, node)
end

-- Whether the node says that the slot is not there any more, and knows that it is not to be: a node that has just
-- started shows nothing either, and may yet begin what it remembers. One that acted on a later assignment than the one
-- that stands there has it from another life of the store.
local function has_left(snapshot, holder)
  local status, host = holder.node.status, holder.node.name
  local id = Nodes.slot_id(holder.replica.task, holder.replica.slot)
  local mark = holder.replica.leaving and snapshot.marks[host] and snapshot.marks[host][id]
  if not mark or not status or status.rows[id] then return false end
  return status.acted_on >= mark and status.acted_on <= (snapshot.assignment_index[host] or 0)
end

local function with_leaving(replica, leaving)
  if (replica.leaving == true) == leaving then return replica end
  return {
    task = replica.task, slot = replica.slot, version = replica.version, since = replica.since,
    leaving = leaving or nil,
  }
end

-- Splits holders into those that stay and those that leave.
local function split(task, holders)
  local staying, leaving, taken, on_node = {}, {}, {}, {}
  for _, holder in ipairs(holders) do
    local reason = reason_to_leave(task, holder, taken, on_node)
    if reason then
      holder.reason = reason
      leaving[#leaving + 1] = holder
    else
      taken[holder.replica.slot] = holder
      on_node[holder.node.name] = (on_node[holder.node.name] or 0) + 1
      holder.result = with_leaving(holder.replica, false)
      staying[#staying + 1] = holder
    end
  end
  return staying, leaving, taken
end

local function finish_leaving(snapshot, leaving, state)
  for _, holder in ipairs(leaving) do
    if has_left(snapshot, holder) then
      state.left[#state.left + 1] = holder
    else
      holder.result = with_leaving(holder.replica, true)
      state.leaving[#state.leaving + 1] = holder
      state.blocked[holder.replica.slot] = holder
    end
  end
end

local function slots_to_place(task, taken, blocked)
  local list = {}
  if task.replication == "all" then return list end
  for slot = 0, task.replication - 1 do
    if not taken[slot] and not blocked[slot] then list[#list + 1] = slot end
  end
  return list
end

local NO_TASK = { replication = 0, max_per_node = 0 }

-- Nothing is added and nothing is taken away, but what leaves already may go.
local function keep_all(holders)
  local staying, leaving = {}, {}
  for _, holder in ipairs(holders) do
    local list = holder.replica.leaving and leaving or staying
    holder.result = holder.replica
    list[#list + 1] = holder
  end
  return staying, leaving, {}
end

--- Sorts out one task.
-- @tparam table snapshot see model.snapshot
-- @tparam ?table entry the task's entry in the snapshot; nil when it was removed
-- @tparam {table,...} holders `node`, `replica`
-- @treturn table `entry`, `mode` ("normal", "kept", "removed"), `staying`,
--   `leaving`, `left` (holders; `result` is the new replica, `reason` why it
--   leaves), `taken` (staying holder by slot), `blocked` (leaving
--   holder by slot), `to_place` (slots)
function M.settle(snapshot, entry, holders)
  table.sort(holders, holder_order)
  local state = { entry = entry, mode = "normal", left = {}, leaving = {}, blocked = {} }
  local task = entry and entry.task or NO_TASK
  local leaving
  if entry and (not entry.task or #entry.task.unsupported > 0) then
    state.mode = "kept"
    state.staying, leaving, state.taken = keep_all(holders)
  else
    state.mode = entry and "normal" or "removed"
    state.staying, leaving, state.taken = split(task, holders)
  end
  finish_leaving(snapshot, leaving, state)
  state.to_place = state.mode == "normal" and slots_to_place(task, state.taken, state.blocked) or {}
  return state
end

return M
