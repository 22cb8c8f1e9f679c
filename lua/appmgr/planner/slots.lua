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
  return a.site.name < b.site.name
end

-- Why one holder may not stay, in view of those before it.
local function reason_to_leave(job, holder, taken, on_site)
  local task, slot = job.task, holder.replica.slot
  if not task then return { code = "removed" } end
  if taken[slot] then return { code = "duplicate" } end
  if task.replication ~= "all" and slot >= task.replication then return { code = "replication" } end
  local limit = task.replication == "all" and 1 or task.max_per_node
  if (on_site[holder.site] or 0) >= limit then return { code = "max_per_node", args = { limit = limit } } end
  return hosting.must_leave(job, holder.site.node)
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

-- Splits holders into those that stay and those that leave.
local function split(job, state)
  local on_site = {}
  for _, holder in ipairs(state.holders) do
    local reason = reason_to_leave(job, holder, state.taken, on_site)
    if reason then
      state.leaving[#state.leaving + 1], state.why[holder] = holder, reason
    else
      state.taken[holder.replica.slot] = holder
      on_site[holder.site] = (on_site[holder.site] or 0) + 1
      state.staying[#state.staying + 1] = holder
    end
  end
end

-- Nothing is added and nothing is taken away, but what leaves already may go.
local function keep_all(state)
  for _, holder in ipairs(state.holders) do
    local list = holder.replica.leaving and state.leaving or state.staying
    list[#list + 1] = holder
  end
end

local function finish_leaving(state)
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

local function slots_to_place(task, taken, blocked)
  local list = {}
  if task.replication == "all" then return list end
  for slot = 0, task.replication - 1 do
    if not taken[slot] and not blocked[slot] then list[#list + 1] = slot end
  end
  return list
end

--- Sorts out one task.
-- @tparam table job `name`, `entry` (nil when it was removed), `task` (nil when its document cannot be used), `kind`
-- @tparam {holder,...} holders `site`, `replica`; sorted in place
-- @treturn table `mode` ("normal", "kept", "removed"), `staying`, `leaving`, `left` (holders; `why`: the reason by holder,
--   for those that did not leave before), `taken` (staying holder by slot), `blocked` (leaving holder by slot),
--   `to_place` (slots)
function M.settle(job, holders)
  table.sort(holders, holder_order)
  local state = {
    mode = job.entry and "normal" or "removed", holders = holders, staying = {}, leaving = {}, left = {}, why = {},
    taken = {}, blocked = {}, to_place = {},
  }
  if job.entry and (not job.task or #job.task.unsupported > 0) then
    state.mode = "kept"
    keep_all(state)
  else
    split(job, state)
  end
  finish_leaving(state)
  if state.mode == "normal" then state.to_place = slots_to_place(job.task, state.taken, state.blocked) end
  return state
end

return M
