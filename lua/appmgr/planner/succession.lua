--- What a drained node has gives way to a successor that runs already, where
-- that can be; and so does what moves to where it is better off.
--
-- Nobody has to remember who succeeds whom: what goes is on a node that is drained, and its successors are
-- the newest slots of those that are more than the rest. In a move for balance the successor says whom it succeeds (moves.lua).
local Nodes = require("appmgr.planner.nodes")
local moves = require("appmgr.planner.moves")
local rollout = require("appmgr.planner.rollout")

local M = {}

-- So long after it was chosen the successor in a move for balance has to run before the other one goes, as nothing is in a hurry
-- there and what ends at once would run for a moment, too; and so long when it did end meanwhile. Where it keeps ending, its
-- node says so before that.
local STEADY_S <const>, STEADY_AGAIN_S <const> = 5, 60

local function stop_after_of(task)
  local terms = task and task.on_disconnect
  return type(terms) == "table" and terms.stop_after_seconds or nil
end

--- Whether a replica that has to go may wait for a successor. What must never run twice does not, as its successor
-- would run beside it; nor does what leaves already.
-- @tparam Job job
-- @tparam holder holder
-- @tparam table reason why it has to go
-- @tparam integer now unix s
-- @treturn boolean
function M.waits(job, holder, reason, now)
  local task, node = job.task, holder.site.node
  if reason.code ~= "drain" or not task or holder.replica.leaving then return false end
  if task.replication == "all" or stop_after_of(task) then return false end
  return not node.drain_deadline or now < node.drain_deadline
end

local function newest_first(a, b)
  if a.replica.since ~= b.replica.since then return a.replica.since > b.replica.since end
  return a.replica.slot > b.replica.slot
end

-- The slots that are there because those of a drained node go.
local function successors(state, wanted)
  local count = math.min(#state.staying, #state.staying + #state.outgoing - wanted)
  if count <= 0 then return {} end
  local list, succeeds = {}, {}
  for _, successor in pairs(state.successor_of) do succeeds[successor] = true end
  for _, holder in ipairs(state.staying) do
    if not succeeds[holder] then list[#list + 1] = holder end
  end
  table.sort(list, newest_first)
  return table.move(list, 1, count, 1, {})
end

local function runs(job, holder)
  return job.task.application.status == 0 or rollout.runs(holder, holder.replica.version)
end

local function leave(state, holder, code)
  state.leaving[#state.leaving + 1], state.why[holder] = holder, { code = code }
  state.taken[holder.replica.slot] = nil
end

local function send_away(state, count)
  for _ = 1, math.min(count, #state.outgoing) do leave(state, table.remove(state.outgoing, 1), "drain") end
end

local function without(list, dropped)
  local kept = {}
  for _, item in ipairs(list) do
    if not dropped[item] then kept[#kept + 1] = item end
  end
  return kept
end

-- A successor that keeps failing where it is gives up, and the other stays.
local function has_failed(job, successor)
  local avoided = successor.site.node.avoid
  return avoided ~= nil and avoided[job.name] ~= nil and not runs(job, successor)
end

--- Takes those that move for balance out of those that stay. What has been told to go already goes on leaving.
-- @tparam Job job
-- @tparam table state see slots.settle; gets `moving`, `successor_of`
function M.pair(job, state)
  local found, dropped = moves.pairs(state.staying), {}
  if not next(found) or job.task.replication == "all" then return end
  for _, holder in ipairs(state.staying) do
    local successor = found[holder]
    if successor and has_failed(job, successor) and not holder.replica.leaving then
      leave(state, successor, "rebalance")
      dropped[successor] = true
    elseif successor and holder.replica.leaving then
      leave(state, holder, "rebalance")
      dropped[holder] = true
    elseif successor then
      state.moving[#state.moving + 1], state.successor_of[holder], dropped[holder] = holder, successor, true
    end
  end
  state.staying = without(state.staying, dropped)
end

--- Those whose successors have to go, as the task wants fewer, go with them: each two are one replica.
-- @tparam table state see slots.settle
function M.follow(state)
  local still = {}
  for _, holder in ipairs(state.moving) do
    local reason = state.why[state.successor_of[holder]]
    if reason then
      state.successor_of[holder] = nil
      leave(state, holder, reason.code)
    else
      still[#still + 1] = holder
    end
  end
  state.moving = still
end

local function row_of(holder)
  local status = holder.site.status
  return status and status.rows[Nodes.slot_id(holder.replica.task, holder.replica.slot)] or {}
end

-- How long after the move began its successor has to be seen to run.
local function patience_of(successor)
  local restarts = row_of(successor).restarts
  return math.type(restarts) and restarts > 0 and STEADY_AGAIN_S or STEADY_S
end

-- Whether the successor in a move for balance runs and is well, and has been for a while. Whichever way clocks of leaders differ.
local function is_steady(job, successor, now)
  if job.task.application.status == 0 then return true end
  local health = row_of(successor).health
  if not runs(job, successor) or health and health ~= 0 then return false end
  return math.abs(now - successor.replica.moved.at) >= patience_of(successor)
end

-- Lets those that move go whose own successor is shown to run. Of a node that is away nothing is known.
local function release_moving(job, state, now)
  local still = {}
  for _, holder in ipairs(state.moving) do
    local successor = state.successor_of[holder]
    state.successors[#state.successors + 1] = successor
    if not holder.site.node.gone and is_steady(job, successor, now) then
      leave(state, holder, "rebalance")
    else
      still[#still + 1] = holder
    end
  end
  state.moving = still
end

--- Lets those go whose successors are shown to run.
-- @tparam Job job
-- @tparam table state see slots.settle; gets `successors`
-- @tparam integer now unix s
function M.release(job, state, now)
  if #state.moving > 0 then
    state.successors = {}
    release_moving(job, state, now)
  end
  if #state.outgoing == 0 then return end
  local others = state.successors or {}
  state.successors = successors(state, job.task.replication)
  local ready = math.max(0, #state.outgoing - job.task.replication)
  for _, holder in ipairs(state.successors) do
    if runs(job, holder) then ready = ready + 1 end
  end
  table.move(others, 1, #others, #state.successors + 1, state.successors)
  send_away(state, ready)
end

--- Lets those go for whom there is no room elsewhere, unless they are to wait for it.
-- @tparam table state see slots.settle
-- @tparam integer count how many successors found no room
-- @treturn {holder,...} who goes
function M.give_up(state, count)
  local going, kept = {}, {}
  for _, holder in ipairs(state.outgoing) do
    local goes = #going < count and not holder.site.node.wait_for_room
    local list = goes and going or kept
    list[#list + 1] = holder
  end
  state.outgoing = kept
  for _, holder in ipairs(going) do
    state.leaving[#state.leaving + 1], state.why[holder] = holder, { code = "drain" }
    state.taken[holder.replica.slot], state.blocked[holder.replica.slot] = nil, holder
  end
  return going
end

--- When time alone changes what is to be done.
-- @tparam table state see slots.settle
-- @tparam integer now unix s
-- @treturn ?integer unix s; nil: never
function M.wake_at(state, now)
  local first
  for _, holder in ipairs(state.moving) do
    local successor = state.successor_of[holder]
    local steady_at = successor.replica.moved.at + patience_of(successor)
    if steady_at > now and (not first or steady_at < first) then first = steady_at end
  end
  for _, holder in ipairs(state.outgoing) do
    local deadline = holder.site.node.drain_deadline
    if deadline and (not first or deadline < first) then first = deadline end
  end
  return first
end

return M
