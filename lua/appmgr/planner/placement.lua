--- Finds nodes for the slots of one task: the engine's own rules first, then the
-- policy among the nodes that are left.
local Pool = require("appmgr.planner.engine.pool")
local kinds = require("appmgr.planner.kind")
local question = require("appmgr.planner.engine.question")
local surroundings = require("appmgr.planner.engine.surroundings")

local M = {}

local NOBODY = {}

--- Slot numbers beside those that there are: the lowest that are free.
-- @tparam table state from slots.settle
-- @tparam integer count
-- @treturn {integer,...}
function M.free_slots(state, count)
  local list, slot = {}, 0
  while #list < count do
    if not state.taken[slot] and not state.blocked[slot] then list[#list + 1] = slot end
    slot = slot + 1
  end
  return list
end

--- How many replicas of a task a node may have.
function M.limit_of(task)
  return task.replication == "all" and 1 or task.max_per_node
end

local function count_holders(counts, holders)
  for _, holder in ipairs(holders) do
    local id = holder.site.id
    counts[id] = (counts[id] or 0) + 1
  end
  return counts
end

--- How many of the task each node has, of those that stay.
local function count_staying(state)
  return count_holders(count_holders(count_holders({}, state.staying), state.outgoing), state.moving)
end

--- How many of the task each node has, also of those that leave.
-- @tparam table state see slots.settle
-- @treturn table by id
function M.count_own(state)
  return count_holders(count_staying(state), state.leaving)
end

local function sorted_ids(set)
  local ids = {}
  for id in pairs(set) do ids[#ids + 1] = id end
  table.sort(ids)
  return ids
end

-- The nodes on which a task for every node is lacking, as far as that never changes with placing.
local function lacking_ids(run, job, own)
  local board, ids = run.board, {}
  local answers = board:answers(job.kind)
  for id = 1, board.count do
    local answer = answers[id]
    if answer == nil then answer = board:ask(answers, job.kind, id) end
    if answer and not own[id] then ids[#ids + 1] = id end
  end
  return ids
end

local function tally_of(run, job, state)
  local spread, board = job.kind.spread, run.board
  if not spread then return nil end
  local tally = spread.tally(job.task.replication == "all" and board.live or job.task.replication)
  for _, labels in ipairs(board:spectrum(job.kind)) do tally:see(labels) end
  for _, holder in ipairs(state.staying) do tally:add(holder.site.node.labels, 1) end
  return tally
end

--- What a policy can see of a task.
local function values_of(job)
  local task = job.task
  return {
    name = task.name, replication = task.replication, priority = task.priority, max_per_node = task.max_per_node,
    condition = job.kind.condition_map, resources = job.kind.request_map,
  }
end

--- What the policy is asked with, see Pool.evaluate.
-- @tparam table run `policy`, `board`
-- @tparam Job job
-- @treturn table
-- @treturn table the values of the task that it can see
function M.asker(run, job)
  local policy, values = run.policy, values_of(job)
  return {
    filter = policy.filter, score = policy.score, task = policy.new_task(values), cluster = run.board.cluster,
    options = policy.options,
  }, values
end

--- What the policy may use for one task.
-- @tparam table run `limits`, `board`
-- @tparam integer count how many replicas are to be placed
-- @treturn table see core.sandbox
function M.limits(run, count)
  local limits, nodes = run.limits, run.board.count
  local instructions = limits.task_instructions + limits.node_instructions * (nodes + count)
  if run.policy.is_global then
    -- Every placement has every node scored again.
    instructions = instructions + limits.rescore_instructions * nodes * count
  end
  return {
    deadline_ms = limits.task_deadline_ms, instructions = instructions, head_start_ms = limits.task_head_start_ms,
    memory_mb = limits.task_memory_mb,
  }
end

--- The question where the slots of a task go.
-- @tparam table run see `place`
-- @tparam Job job
-- @tparam table state from slots.settle, `to_place`: the slots
-- @tparam[opt] {integer,...} ids the nodes that are asked about, when it is not simply all
-- @treturn table see question.choose
function M.question(run, job, state, ids)
  local board, policy = run.board, run.policy
  local asker, values = M.asker(run, job)
  local around, counts_own = surroundings.of(run.engine, job), policy.reads["node.task_replicas"]
  local asked = {
    board = board, kind = kinds.grouped_by(job.kind, around.labels), name = job.name, own = M.count_own(state),
    staying = counts_own and count_staying(state) or NOBODY, counts_own = counts_own,
    count = math.min(#state.to_place, run.starts_left), limit = around.one_per_node and 1 or M.limit_of(job.task), around = around,
    denied = board:denied(job, around.denied), slots = state.to_place, is_global = policy.is_global,
    room = board.classes:room(job.kind), chosen = {}, ports = {}, tally = tally_of(run, job, state), asker = asker,
  }
  if around.only then ids = sorted_ids(around.only) end
  asked.is_kept = not ids and not policy.is_global
  asked.pool = asked.is_kept and run.pools:get(asked.kind, values) or Pool.new(board, asked.kind, ids)
  return asked
end

--- A question was cut off somewhere: what it counted and what its pool knows is worth nothing.
-- @tparam table run
-- @tparam table asked
function M.undo(run, asked)
  if asked.is_kept then run.pools:drop(asked.pool) end
  for _, site in ipairs(asked.chosen) do run.ledger:recount(site) end
  for id in pairs(asked.staying) do
    local site = run.board.by_id[id]
    if site then site.record, site.visible = nil, nil end
  end
end

--- Has nodes chosen.
-- @tparam table run
-- @tparam table asked from `question`; gets `chosen`, `ports`
-- @treturn string outcome, see Policy:run, or "bad_result"; all but "ok" with a message and maybe a traceback
function M.ask(run, asked)
  local limits = M.limits(run, math.min(asked.count, run.board.count * asked.limit))
  run.asked = run.asked + 1
  local outcome, message, traceback = run.policy:run(asked.name, question.choose, limits, asked)
  if outcome == "ok" then return "ok" end
  M.undo(run, asked)
  if outcome == "timeout" then run.wasted_instructions = run.wasted_instructions + limits.instructions end
  if outcome == "error" and asked.asker.bad_result then return "bad_result", asked.asker.bad_result end
  return outcome, message, traceback
end

local function fail(run, state, outcome, message, traceback)
  run.failures[#run.failures + 1] = { outcome = outcome, message = message }
  state.cause = { code = "policy_failed", args = { outcome = outcome, message = message } }
  state.pending, state.traceback = state.to_place, traceback
end

-- Why nobody can be asked; nil when somebody can.
local function excuse(run)
  if not run.policy then return "error", run.policy_error or "no policy is loaded" end
  -- Each endless loop costs a whole budget; when it is not one task that loops
  -- but the policy, the whole run must not take longer than the agent waits.
  if run.wasted_instructions >= run.limits.max_wasted_instructions then
    return "timeout", "not asked: it took too long for other tasks"
  end
  return nil
end

--- Places what a task lacks.
-- @tparam table run `engine`, `board`, `ledger`, `pools`, `now`, `policy`, `policy_error`, `limits`; counts `asked`, `failures`,
--   `wasted_instructions`
-- @tparam Job job
-- @tparam table state from slots.settle; gets `placed` (holders), `pending` (slots without a node), and `cause` where it
--   is the policy that failed
function M.place(run, job, state)
  local is_everywhere = job.task.replication == "all"
  local ids
  if is_everywhere then
    ids = lacking_ids(run, job, M.count_own(state))
    state.to_place = M.free_slots(state, #ids)
  end
  -- A settled task costs nothing; only one for every node has to look for nodes that joined.
  if #state.to_place == 0 then return end
  local outcome, message = excuse(run)
  if outcome then return fail(run, state, outcome, message) end
  if run.starts_left <= 0 then
    state.pending, state.cause, run.is_rate_limited = state.to_place, { code = "start_rate" }, true
    return
  end
  local asked = M.question(run, job, state, ids)
  local traceback
  outcome, message, traceback = M.ask(run, asked)
  if outcome ~= "ok" then return fail(run, state, outcome, message, traceback) end
  state.placed = run.ledger:give(job, asked.chosen, state.to_place, asked.ports, run.now)
  table.move(state.placed, 1, #state.placed, #state.staying + 1, state.staying)
  run.starts_left = run.starts_left - #asked.chosen
  if #asked.chosen == asked.count and asked.count < #state.to_place then
    state.cause, run.is_rate_limited = { code = "start_rate" }, true
  end
  -- A node that refused has no slot that could be pending.
  if is_everywhere or #asked.chosen == #state.to_place then return end
  state.pending = table.move(state.to_place, #asked.chosen + 1, #state.to_place, 1, {})
end

return M
