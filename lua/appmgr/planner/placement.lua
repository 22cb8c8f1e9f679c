--- Finds nodes for the slots of one task: the engine's own rules first, then the
-- policy among the nodes that are left.
local hosting = require("appmgr.planner.hosting")
local reasons = require("appmgr.planner.reasons")

local M = {}

-- How many more replicas of a task a node has room for, or why none.
local function room_on(run, task, state, name)
  local limit = task.replication == "all" and 1 or task.max_per_node
  local of_task = limit - (state.on_node[name] or 0)
  if of_task <= 0 then
    return nil, { code = "max_per_node", args = { limit = limit } }
  end
  local in_all = run.limits.max_replicas_per_node - run.total[name]
  if in_all <= 0 then
    return nil, { code = "node_full", args = { limit = run.limits.max_replicas_per_node } }
  end
  return math.min(of_task, in_all)
end

local function count_on_nodes(state)
  local on_node, staying = {}, {}
  for _, list in ipairs({ state.staying, state.leaving }) do
    for _, holder in ipairs(list) do
      local name = holder.node.name
      on_node[name] = (on_node[name] or 0) + 1
      if list == state.staying then staying[name] = (staying[name] or 0) + 1 end
    end
  end
  return on_node, staying
end

local function candidates_for(run, task, state, counter)
  local list = {}
  local staying
  state.on_node, staying = count_on_nodes(state)
  for _, place in ipairs(run.places) do
    local name = place.node.name
    local reason, room = hosting.rejects(task, place.node), nil
    if not reason then room, reason = room_on(run, task, state, name) end
    if room then
      place.seen.replicas, place.seen.task_replicas = run.replicas[name], staying[name] or 0
      place.room, place.score = room, nil
      list[#list + 1] = place
    else
      counter.add(reason)
    end
  end
  return list
end

-- Slot numbers for a task that runs on every node: the lowest that are free.
local function free_slots(state, count)
  local used, list, slot = {}, {}, 0
  for _, holders in ipairs({ state.staying, state.leaving }) do
    for _, holder in ipairs(holders) do used[holder.replica.slot] = true end
  end
  while #list < count do
    if not used[slot] then list[#list + 1] = slot end
    slot = slot + 1
  end
  return list
end

local function fail(run, state, outcome, message)
  run.failures[#run.failures + 1] = { outcome = outcome, message = message }
  local args = { outcome = outcome, message = message }
  state.reasons = { { code = "policy_failed", args = args } }
  state.pending = state.to_place
end

local function commit(run, state, chosen, slots)
  local task = state.entry.task
  for index, node in ipairs(chosen) do
    local replica = { task = task.name, slot = slots[index], version = task.version, since = run.snapshot.now }
    local holder = { node = node, replica = replica, result = replica }
    state.staying[#state.staying + 1] = holder
    state.placed[#state.placed + 1] = holder
    run.replicas[node.name] = run.replicas[node.name] + 1
    run.total[node.name] = run.total[node.name] + 1
    run.cluster_replicas = run.cluster_replicas + 1
  end
  state.pending = table.move(slots, #chosen + 1, #slots, 1, {})
end

local function limits_for(run, candidates, count)
  local limits = run.limits
  local instructions = limits.task_instructions + limits.node_instructions * (#candidates + count)
  if run.policy.is_global then
    -- Every placement has every node scored again.
    instructions = instructions + limits.rescore_instructions * #candidates * count
  end
  return { deadline_ms = limits.task_deadline_ms, instructions = instructions }
end

local function ask(run, state, candidates, count)
  if not run.policy then
    return "error", run.policy_error or "no policy is loaded"
  end
  -- Each endless loop costs a whole budget; when it is not one task that loops
  -- but the policy, the whole run must not take longer than the agent waits.
  if run.wasted_instructions >= run.limits.max_wasted_instructions then
    return "timeout", "not asked: it took too long for other tasks"
  end
  run.asked = run.asked + 1
  run.cluster_seen.replicas = run.cluster_replicas
  local question = {
    task = run.policy.new_task(run.task_values(state.entry.task)), cluster = run.cluster, cluster_seen = run.cluster_seen,
    candidates = candidates, count = count,
  }
  local limits = limits_for(run, candidates, count)
  local outcome, answer = run.policy:choose(question, limits)
  if outcome == "timeout" then
    run.wasted_instructions = run.wasted_instructions + limits.instructions
  end
  return outcome, answer
end

local function used_up(task, answer, counter)
  local limit = task.replication == "all" and 1 or task.max_per_node
  for _ = 1, answer.accepted do
    counter.add({ code = "max_per_node", args = { limit = limit } })
  end
  for _, rejection in ipairs(answer.rejected) do
    local code = rejection.detail and "policy_detail" or "policy"
    counter.add({ code = code, args = { code = rejection.code, detail = rejection.detail } })
  end
end

--- Places what a task lacks.
-- @tparam table run see engine
-- @tparam table state from slots.settle; gets `placed` (holders), `pending`
--   (slots without a node) and `reasons`
function M.place(run, state)
  -- A settled task costs nothing; only "all" has to look for nodes that joined.
  if #state.to_place == 0 and state.entry.task.replication ~= "all" then return end
  local task, counter = state.entry.task, reasons.counter()
  local candidates = candidates_for(run, task, state, counter)
  local slots = state.to_place
  if task.replication == "all" then slots = free_slots(state, #candidates) end
  state.to_place = slots
  if #slots == 0 then return end
  if #candidates == 0 then
    state.pending, state.reasons = slots, counter.list()
    return
  end
  local outcome, answer = ask(run, state, candidates, #slots)
  if outcome ~= "ok" then
    return fail(run, state, outcome, answer)
  end
  commit(run, state, answer.chosen, slots)
  if task.replication == "all" then
    -- A node the policy refused has no slot that could be pending.
    state.pending = {}
  elseif #state.pending > 0 then
    used_up(task, answer, counter)
    state.reasons = counter.list()
  end
end

return M
