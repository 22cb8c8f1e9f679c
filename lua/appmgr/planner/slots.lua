--- Sorts out what the nodes hold of one task: which slots stay, which leave,
-- which have left, and which have to be placed.
--
-- A slot leaves in two steps, so that it never runs twice without anybody having
-- to remember anything: first it is marked as leaving in the assignment, and when the
-- status of a node that acts on the mark no longer shows it, it goes from the
-- assignment and may be placed.
--
-- What a drained node has is outgoing: it stays until its successor, a slot with a number of its own, is shown to
-- run (see succession.lua); and so does what moves for balance (moves.lua). So the numbers of a task's slots are any that
-- differ, the lowest that are free first.
local Nodes = require("appmgr.planner.nodes")
local hosting = require("appmgr.planner.hosting")
local succession = require("appmgr.planner.succession")

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
  return a.site.name < b.site.name
end

-- Those of a task that holds each slot once come in order.
local function are_in_order(holders)
  for position = 2, #holders do
    if holders[position].replica.slot <= holders[position - 1].replica.slot then return false end
  end
  return true
end

-- Why one holder may not stay, in view of those before it.
local function reason_to_leave(job, holder, taken, on_site)
  local task, replica, site = job.task, holder.replica, holder.site
  if taken[replica.slot] then return { code = "duplicate" } end
  if not task then return { code = "removed" } end
  if replica.preempted then return { code = "preempted" } end
  local limit = task.replication == "all" and 1 or task.max_per_node
  local reason = hosting.must_leave(job, site.node)
  if not reason and (on_site[site] or 0) >= limit then
    return { code = "max_per_node", args = { limit = limit } }
  end
  return reason
end

-- Whether the node says that the slot is not there any more, and knows that it is not to be: a node that has just
-- started shows nothing either, and may yet begin what it remembers. One that acted on a later assignment than the one
-- that stands there has it from another life of the store.
local function has_left(holder)
  local site = holder.site
  local id = Nodes.slot_id(holder.replica.task, holder.replica.slot)
  local mark = holder.replica.leaving and site.marks[id]
  local status = site.status
  if not mark or not status or status.rows[id] then return false end
  return status.acted_on >= mark and status.acted_on <= site.index
end

-- Splits holders into those that stay, those that go when somebody else runs, and those that leave. True where one that stays
-- was moved for balance.
local function split(job, state, now)
  local on_site, taken, staying, has_moved = {}, state.taken, state.staying, false
  for _, holder in ipairs(state.holders) do
    local reason = reason_to_leave(job, holder, taken, on_site)
    if reason and not succession.waits(job, holder, reason, now) then
      state.leaving[#state.leaving + 1], state.why[holder] = holder, reason
    else
      local list, site = reason and state.outgoing or staying, holder.site
      list[#list + 1], taken[holder.replica.slot] = holder, holder
      on_site[site] = (on_site[site] or 0) + 1
      if holder.replica.moved then has_moved = true end
    end
  end
  return has_moved
end

-- Those that leave first when there are too many: what leaves already, then the highest slot.
local function less_wanted(a, b)
  local a_leaves, b_leaves = a.replica.leaving == true, b.replica.leaving == true
  if a_leaves ~= b_leaves then return a_leaves end
  return a.replica.slot > b.replica.slot
end

local function by_slot(a, b)
  return a.replica.slot < b.replica.slot
end

-- More than the task wants have to leave.
local function cut_down(job, state)
  local wanted = job.task and job.task.replication
  if not wanted or wanted == "all" or #state.staying <= wanted then return end
  local staying = state.staying
  table.sort(staying, less_wanted)
  for position = 1, #staying - wanted do
    local holder = staying[position]
    state.leaving[#state.leaving + 1], state.why[holder] = holder, { code = "replication" }
    state.taken[holder.replica.slot] = nil
  end
  state.staying = table.move(staying, #staying - wanted + 1, #staying, 1, {})
  table.sort(state.staying, by_slot)
end

-- Nothing is added and nothing is taken away, but what leaves already may go.
local function keep_all(state)
  for _, holder in ipairs(state.holders) do
    local list = holder.replica.leaving and state.leaving or state.staying
    list[#list + 1] = holder
  end
end

local function finish_leaving(state)
  if #state.leaving == 0 then return end
  local still = {}
  for _, holder in ipairs(state.leaving) do
    if has_left(holder) then
      state.left[#state.left + 1] = holder
    else
      still[#still + 1] = holder
      state.blocked[holder.replica.slot] = holder
    end
  end
  state.leaving = still
end

-- Slots that have not stopped elsewhere yet are waited for: they are placed when they have.
local function count_waiting(state, wanted)
  local count = 0
  for slot in pairs(state.blocked) do
    if slot < wanted and not state.taken[slot] then count = count + 1 end
  end
  return count
end

local function slots_to_place(task, state)
  local list, wanted = {}, task.replication
  if wanted == "all" then return list end
  local lacking = wanted - #state.staying
  lacking = lacking - math.min(lacking, count_waiting(state, wanted))
  local slot = 0
  while #list < lacking do
    if not state.taken[slot] and not state.blocked[slot] then list[#list + 1] = slot end
    slot = slot + 1
  end
  return list
end

--- Sorts out one task.
-- @tparam table job `name`, `entry` (nil when it was removed), `task` (nil when its document cannot be used), `kind`
-- @tparam {holder,...} holders `site`, `replica`; sorted in place
-- @tparam integer now unix s
-- @treturn table `mode` ("normal", "kept", "removed"), `staying`, `outgoing`, `moving`, `leaving`, `left` (holders; `why`: the
--   reason by holder, for those that leave; `successor_of`: by holder that moves), `taken` (holder that stays, goes out or
--   moves by slot), `blocked` (leaving holder by slot),
--   `to_place` (slots), `wake_at` (unix s: when to look again though nothing happened; nil: never)
function M.settle(job, holders, now)
  if not are_in_order(holders) then table.sort(holders, holder_order) end
  local state = {
    mode = job.entry and "normal" or "removed", holders = holders, staying = {}, outgoing = {}, leaving = {}, left = {},
    why = {}, taken = {}, blocked = {}, to_place = {}, moving = {}, successor_of = {},
  }
  if job.entry and (not job.task or #job.task.unsupported > 0) then
    state.mode = "kept"
    keep_all(state)
  else
    if split(job, state, now) then succession.pair(job, state) end
    cut_down(job, state)
    if #state.moving > 0 then succession.follow(state) end
    succession.release(job, state, now)
    state.wake_at = succession.wake_at(state, now)
  end
  finish_leaving(state)
  if state.mode == "normal" then state.to_place = slots_to_place(job.task, state) end
  return state
end

return M
