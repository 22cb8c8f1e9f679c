--- One decision: three passes over the tasks that have something to do.
--
--   1. slots.settle      what stays, what leaves, what has left
--   2. placement.place   nodes for the slots that have none (policy), in the order of priority, size and name
--   3. rollout.advance   the next slot to its new version
--      peers.share       each slot is told where the others are, where its task asks for it
--
-- Where nothing of that is left to do, rebalance.run may begin to move what would be better off elsewhere.
--
-- The first pass ends before the second begins, so that room that is given up
-- by one task can be taken by any other.
local Jobs = require("appmgr.planner.engine.jobs")
local absence = require("appmgr.planner.absence")
local peers = require("appmgr.planner.peers")
local placement = require("appmgr.planner.placement")
local preemption = require("appmgr.planner.preemption")
local rebalance = require("appmgr.planner.rebalance")
local reasons = require("appmgr.planner.reasons")
local rollout = require("appmgr.planner.rollout")
local slots = require("appmgr.planner.slots")
local succession = require("appmgr.planner.succession")

local M = {}

local NO_PORTS = {}

local function with_leaving(replica, leaving)
  if (replica.leaving == true) == leaving then return replica end
  return {
    task = replica.task, slot = replica.slot, version = replica.version, since = replica.since, ports = replica.ports,
    peers = replica.peers, moved = replica.moved, stops_within = replica.stops_within, leaving = leaving or nil,
  }
end

local function send_away(self, run, state, holders)
  for _, holder in ipairs(holders) do
    if not holder.replica.leaving then run.stops[#run.stops + 1] = { holder = holder, reason = state.why[holder] } end
    self.ledger:replace(holder, with_leaving(holder.replica, true))
  end
end

local function apply_settled(self, run, state)
  for _, holder in ipairs(state.left) do self.ledger:remove(holder) end
  send_away(self, run, state, state.leaving)
  if state.mode == "kept" then return end
  for _, holder in ipairs(state.staying) do
    if holder.replica.leaving then self.ledger:replace(holder, with_leaving(holder.replica, false)) end
  end
end

local function settle(self, run, job)
  local state = slots.settle(job, self.jobs:holders(job), run.now)
  state.name, state.entry, state.placed, state.pending = job.name, job.entry, {}, {}
  job.state, run.settled[job] = state, true
  apply_settled(self, run, state)
end

local function without(list, holder)
  local kept = {}
  for _, other in ipairs(list) do
    if other ~= holder then kept[#kept + 1] = other end
  end
  return kept
end

local function leave_staying(state, holder, reason)
  state.staying, state.moving = without(state.staying, holder), without(state.moving, holder)
  state.taken[holder.replica.slot] = nil
  state.leaving[#state.leaving + 1], state.why[holder], state.blocked[holder.replica.slot] = holder, reason, holder
end

-- Tells a replica to leave, so that there is room for a more important task.
local function evict(self, run, due, job, replica, site)
  if not run.settled[job] then
    settle(self, run, job)
    due[#due + 1] = job
  end
  for _, list in ipairs({ job.state.staying, job.state.moving }) do
    for _, holder in ipairs(list) do
      if holder.site == site and holder.replica.slot == replica.slot then
        local reason, marked = { code = "preempted" }, with_leaving(holder.replica, true)
        marked.preempted = true
        run.stops[#run.stops + 1] = { holder = holder, reason = reason }
        self.ledger:replace(holder, marked)
        return leave_staying(job.state, holder, reason)
      end
    end
  end
end

local function kept_reason(entry)
  if entry.task then
    return { code = "unsupported", args = { fields = table.concat(entry.task.unsupported, ", ") } }
  end
  return { code = "invalid", args = { error = table.concat(entry.errors, "; ") } }
end

-- The first host whose assignment cannot be read: nothing is placed before it is known what runs there.
local function first_unreadable(self)
  local first
  for site in pairs(self.unreadable) do
    if site.node and (not first or site.name < first) then first = site.name end
  end
  return first
end

-- Why nothing is placed at all.
local function obstacle(self, run)
  if self.board.live == 0 then return { code = "no_nodes" } end
  if run.unreadable then return { code = "host_unreadable", args = { node = run.unreadable } } end
  return nil
end

-- There is no room for all that drained nodes have: what found none stops there, and waits.
local function give_up(self, run, job, state)
  if #state.outgoing == 0 or #state.pending == 0 or state.cause then return end
  local going = succession.give_up(state, #state.pending)
  send_away(self, run, state, going)
  for _, holder in ipairs(going) do
    state.leaving[#state.leaving + 1] = holder
    if holder.replica.slot < job.task.replication then state.pending[#state.pending] = nil end
  end
end

local function place_all(self, run, due)
  local reason = obstacle(self, run)
  for _, job in ipairs(due) do
    local state = job.state
    if state.mode == "kept" then
      state.cause = kept_reason(state.entry)
    elseif state.mode == "normal" and reason then
      state.pending, state.cause = state.to_place, reason
    elseif state.mode == "normal" then
      placement.place(run, job, state)
      if #state.pending > 0 and not state.cause and self.policy.preempts then preemption.make_room(run, job, state) end
      give_up(self, run, job, state)
    end
  end
end

-- A node that is gone does not hear of new terms.
local function stops_within(holder, task)
  local within, before = absence.stops_within(task), holder.replica.stops_within
  return holder.site.node.gone and before and math.max(before, within or 0) or within
end

-- Gives a slot the current version, and the ports that its task wants now.
local function move_to_current(self, job, holder, since)
  local before = holder.replica
  local given, reason = holder.site:renew_ports(job.kind.ports or NO_PORTS, before.task .. "." .. before.slot, before.ports)
  if not given then
    local args = { slot = before.slot, node = holder.site.name, why = reasons.text(reason) }
    job.state.stuck = job.state.stuck or {}
    table.insert(job.state.stuck, { code = "ports_stuck", args = args })
    return false
  end
  self.board:touch(holder.site)
  self.ledger:replace(holder, {
    task = before.task, slot = before.slot, version = job.task.version, since = since, ports = next(given) and given or nil,
    peers = before.peers, moved = before.moved, stops_within = stops_within(holder, job.task),
  })
  return true
end

local function roll_all(self, run, due)
  for _, job in ipairs(due) do
    local state = job.state
    if state.mode == "normal" then
      if not rollout.is_done(job.task, state.staying) then
        local function move(holder, since) return move_to_current(self, job, holder, since) end
        state.moved, state.unproven = rollout.advance(job.task, state.staying, run.now, move)
      end
      peers.share(job.task, state.staying, function(holder, replica) self.ledger:replace(holder, replica) end)
    end
  end
end

-- Slots that cannot be placed yet because they have not stopped elsewhere. What has its successor is not waited for.
local function add_blocked(job)
  local state, replication, waiting = job.state, job.task.replication, {}
  local lacking = replication ~= "all" and replication - #state.staying - #state.pending or 0
  if lacking <= 0 then return end
  for slot in pairs(state.blocked) do
    if slot < replication and not state.taken[slot] then waiting[#waiting + 1] = slot end
  end
  if #waiting == 0 then return end
  table.sort(waiting)
  state.waiting = state.waiting or {}
  for position = 1, math.min(lacking, #waiting) do
    local slot = waiting[position]
    state.pending[#state.pending + 1] = slot
    state.waiting[#state.waiting + 1] = { code = "leaving", args = { slot = slot, node = state.blocked[slot].site.name } }
  end
  table.sort(state.pending)
end

-- When the policy failed for every task it was asked about, it is the policy; when it was asked about a single one, or
-- did well for others before, it may be the tasks: those that failed are asked about again, and alone.
local function outcome_of(self, run)
  local first = run.failures[1]
  if #run.failures < run.asked then self.did_well = true end
  if first and not self.did_well and run.asked ~= 1 then
    return first.outcome, first.message
  end
  return "ok"
end

local function note_states(self, due)
  for _, job in ipairs(due) do
    if job.state.mode == "normal" then add_blocked(job) end
    self.jobs:note_state(job)
  end
end

-- A replica gets its successor, on the node that was chosen and has counted it.
local function begin_move(self, run, due, job, move)
  if not run.settled[job] then
    settle(self, run, job)
    due[#due + 1] = job
  end
  local state, holder = job.state, move.holder
  local successor = self.ledger:give(job, { move.site }, { move.slot }, { move.ports }, run.now)[1]
  successor.replica.moved = move.moved
  state.placed[#state.placed + 1] = successor
  state.staying = without(state.staying, holder)
  state.staying[#state.staying + 1] = successor
  state.moving[#state.moving + 1], state.successor_of[holder] = holder, successor
  peers.share(job.task, state.staying, function(other, replica) self.ledger:replace(other, replica) end)
  run.starts_left = run.starts_left - 1
  state.wake_at = succession.wake_at(state, run.now)
  self.jobs:note_state(job)
end

local function finish(self, run, due, balance)
  local states, wake_at = {}, self.jobs:wake_at()
  for position, job in ipairs(due) do states[position] = job.state end
  if balance and balance.look_at then wake_at = math.min(wake_at or math.huge, balance.look_at) end
  local outcome, message = outcome_of(self, run)
  local changes, changed = self.ledger:close()
  return {
    changes = changes, states = states, stops = run.stops, status_hosts = self.jobs:status_hosts(self.unreadable),
    wake_at = wake_at, is_rate_limited = run.is_rate_limited == true,
    outcome = outcome, outcome_message = message, balance = balance,
  }, changed
end

local function new_run(self, now, max_starts)
  return {
    engine = self, board = self.board, jobs = self.jobs, settled = {}, pools = self.pools, ledger = self.ledger, policy = self.policy,
    policy_error = self.policy_error, limits = self.limits, now = now, stops = {}, failures = {}, asked = 0,
    wasted_instructions = 0, starts_left = max_starts or math.huge, unreadable = first_unreadable(self),
  }
end

--- Makes a decision.
-- @tparam Engine self
-- @tparam {Job,...} due the tasks that have something to do
-- @tparam integer now unix s
-- @tparam ?integer max_starts
-- @tparam ?table terms of moves for balance, see rebalance.lua
-- @treturn table see Engine.decide
-- @treturn table set of the sites whose content changes
function M.make(self, due, now, max_starts, terms)
  local run = new_run(self, now, max_starts)
  for position = 1, #due do settle(self, run, due[position]) end
  due = Jobs.in_order(due, self.board.totals)
  run.evict = function(job, replica, site) evict(self, run, due, job, replica, site) end
  run.reserve = function(site, kind) self.ledger:reserve(site, self.board.classes:room(kind)) end
  place_all(self, run, due)
  roll_all(self, run, due)
  note_states(self, due)
  run.begin_move = function(job, move) begin_move(self, run, due, job, move) end
  return finish(self, run, due, terms and rebalance.run(run, self.balance, terms, due))
end

return M
