--- What one task would gain by a move: which of its replicas is worst off, where it would be best off, and whether that is
-- worth it. All rules hold there as for any new replica, while the one that moves still counts; nothing is changed by asking.
--
-- A node is worth to a replica what it is worth to one that is about to be placed: both nodes are looked at as they are
-- without it. So to move back later, when nothing else has changed, is worth exactly as much less.
local placement = require("appmgr.planner.placement")
local question = require("appmgr.planner.engine.question")
local slots = require("appmgr.planner.slots")

local M = {}

--- Whether replicas of a task are ever moved for balance. What runs everywhere has nowhere else to go; of what must never run
-- twice no successor may run first; what runs now and then would be cut off in the middle.
-- @tparam Job job
-- @treturn boolean
function M.is_movable(job)
  local task = job.task
  if not task or #task.unsupported > 0 or task.replication == "all" or task.rebalance == false then return false end
  local app = task.application
  return type(task.on_disconnect) ~= "table" and not app.start_interval_seconds and not app.schedule
end

-- The replicas of a task at rest that may move; nil when it is not at rest, or there are none.
local function movable_holders(task, state, round)
  if #state.leaving + #state.left + #state.outgoing + #state.moving + #state.to_place > 0 then return nil end
  local list = {}
  for _, holder in ipairs(state.staying) do
    local moved, node = holder.replica.moved, holder.site.node
    local has_moved = moved and moved.round == round
    if holder.replica.version ~= task.version then return nil end
    if not has_moved and not node.error and not node.stranger then list[#list + 1] = holder end
  end
  return list[1] and list
end

-- How much the task's wishes speak for a node that has one of its replicas, as if it had not got it.
local function wish_of_own(asked, node)
  local affinity, tally = asked.kind.affinity, asked.tally
  local wish = affinity and affinity.score(node) or 0
  if not tally then return wish end
  tally:add(node.labels, -1)
  wish = wish + tally:score(node.labels)
  tally:add(node.labels, 1)
  return wish
end

local function is_worse(wish, score, other_wish, other_score)
  if wish ~= other_wish then return wish < other_wish end
  return (score or -math.huge) < (other_score or -math.huge)
end

local function with(set, id)
  local larger = { [id] = true }
  for other in pairs(set) do larger[other] = true end
  return larger
end

-- Runs within the limits of the policy.
local function appraise(asked, found, holders, giving)
  for _, holder in ipairs(holders) do
    local site = holder.site
    local wish, score = wish_of_own(asked, site.node), question.worth_of_own(asked, site, giving[site])
    if not found.holder or is_worse(wish, score, found.wish, found.score) then
      found.holder, found.wish, found.score = holder, wish, score
    end
  end
  local site = found.holder.site
  asked.denied = with(asked.denied, site.id)
  if asked.tally then asked.tally:add(site.node.labels, -1) end
  found.id, found.other_score, found.other_wish = question.peek(asked)
  return true
end

--- What speaks for a move; nil when that is not enough.
-- @tparam number margin how much better it has to be: of wishes as a difference, of a score as a part of what it is
-- @tparam table found `wish` and `score` (false: the policy refuses the node) as it is, `other_wish` and `other_score`
-- @treturn ?string "wish" or "score"
-- @treturn ?number how much is gained in that
function M.gain(margin, found)
  local wishes = found.other_wish - found.wish
  if wishes > 0 and wishes >= margin then return "wish", wishes end
  if wishes < 0 then return nil end
  if not found.score then return "score", math.huge end
  local better = found.other_score - found.score
  if better > 0 and (margin == 0 or better >= margin * math.abs(found.score)) then return "score", better end
end

-- As it stands in an assignment: short, and the same after it was written and read.
local function rounded(number)
  if not number or number ~= number or math.abs(number) == math.huge then return nil end
  local short = tonumber(("%.12g"):format(number))
  return math.tointeger(short) or short
end

local function candidate_of(job, asked, found, by, gain)
  local is_wish = by == "wish"
  return {
    job = job, asked = asked, holder = found.holder, by = by, gain = gain,
    before = rounded(is_wish and found.wish or found.score or nil),
    after = rounded(is_wish and found.other_wish or found.other_score),
  }
end

-- What asking costs, in replicas: a pool that is made asks about every node.
local function cost_of(run, asked, holders)
  return #holders + 4 + (asked.pool.cursor and 0 or run.board.count // 2)
end

--- Appraises a task.
-- @tparam table run of a decision; `giving`: by site, the rooms of those that begin to move away in it
-- @tparam Job job
-- @tparam number margin see `gain`
-- @tparam string round replicas that were moved in it stay
-- @treturn ?table candidate: `job`, `asked` (the question that has the node chosen, see placement.ask), `holder`, `by`, `gain`,
--   `before`, `after`; nil when there is none
-- @treturn integer what that cost
-- @treturn boolean whether the policy failed
function M.of(run, job, margin, round)
  local state = slots.settle(job, run.jobs:holders(job), run.now)
  local holders = movable_holders(job.task, state, round)
  if not holders then return nil, 1, false end
  state.to_place = placement.free_slots(state, 1)
  local asked, found = placement.question(run, job, state), {}
  local cost = cost_of(run, asked, holders)
  if run.policy:run(job.name, appraise, placement.limits(run, #holders + 1), asked, found, holders, run.giving) ~= "ok" then
    question.put_down(asked)
    placement.undo(run, asked)
    return nil, cost, true
  end
  if not found.id then return nil, cost, false end
  local by, gain = M.gain(margin, found)
  return by and candidate_of(job, asked, found, by, gain), cost, false
end

return M
