--- A policy on a whole cluster: everything is placed, then one event after the other happens.
local Arena = require("appmgr.workbench.arena")
local canonical = require("appmgr.planner.rules.canonical")
local events = require("appmgr.workbench.events")
local quality = require("appmgr.workbench.quality")

local M = {}

-- No one stands by who would be kept waiting: only a policy that does not come to an end is cut off.
local function limits_of(timeout_s)
  return {
    task_deadline_ms = 1000 * timeout_s, task_instructions = 1000000000, node_instructions = 1000000, task_memory_mb = 512,
  }
end

-- A document that cannot be used is a mistake in what was made up; of a real cluster it freezes its task alone, as there.
local function fill(arena, cluster)
  local unusable = {}
  for name, intent in pairs(cluster.intents) do arena.intents[name] = intent end
  for _, name in ipairs(canonical.sorted_keys(cluster.nodes)) do arena:put_node(name, cluster.nodes[name]) end
  for host, replicas in pairs(cluster.assignments) do arena:hold(host, replicas) end
  for _, name in ipairs(canonical.sorted_keys(cluster.tasks)) do
    local errors = arena:put_task(name, cluster.tasks[name])
    local text = #errors > 0 and table.concat(errors, "; ")
    if text and not cluster.is_real then return nil, ("task \"%s\": %s"):format(name, text) end
    if text then unusable[#unusable + 1] = { task = name, text = text } end
  end
  return unusable
end

local function settle(arena)
  local fault = arena:settle()
  return fault == nil, fault
end

-- After what happened replicas move to where they are better off.
local function balance(arena)
  return arena:balance()
end

-- One step: decides until nothing changes, and measures that.
local function measured(run, what, act)
  local arena = run.arena
  local seconds, started = arena.seconds, arena.started
  local took, text = act(arena)
  if not took then return nil, ("%s: %s"):format(what, text) end
  local step = quality.of(arena)
  step.event, step.cpu_seconds = what, arena.seconds - seconds
  if act == balance then step.balance_seconds, step.balance = took, text end
  step.started, step.lost = arena.started - started, run.lost - run.lost_before
  step.moves, step.stopped = arena:take_leavers()
  run.lost_before = run.lost
  for _, failure in ipairs(arena:failed()) do
    if not run.failed[failure.task] then
      run.failed[failure.task], run.failures[#run.failures + 1] = true, failure
    end
  end
  return step
end

-- What happens, and what is moved for balance after that where it is asked for.
local function add_steps(run, steps, what)
  local step, reason = measured(run, what, settle)
  if not step then return nil, reason end
  steps[#steps + 1] = step
  if not run.arena.terms then return true end
  step, reason = measured(run, "rebalance", balance)
  steps[#steps + 1] = step
  return step ~= nil, reason
end

local function copied(tasks)
  local copy = {}
  for name, document in pairs(tasks) do copy[name] = document end
  return copy
end

--- Runs it.
-- @tparam table deps see Arena.new
-- @tparam Policy policy
-- @tparam table cluster `nodes`, `intents`, `tasks` (documents by name), `assignments` (replicas by host), `is_real`:
--   a document that cannot be used freezes its task, and is no error
-- @tparam table list the events, see events.lua
-- @tparam integer seed of what the events make up
-- @tparam integer timeout_s how long the policy may take for one task
-- @tparam[opt] table terms of moves for balance, see appmgr.rebalance_terms; nil: nothing is moved for that
-- @treturn[1] {table,...} steps, the first for the cluster as it is: see quality.of, and `event`, `cpu_seconds` (that
--   deciding took), `started`, `moves` (replicas that went to another node), `stopped` (that left for good), `lost` (with
--   their nodes); where there are terms each
--   is followed by one with what was moved for balance, `balance_seconds` (how long that would take), `balance` (a text)
-- @treturn[1] Arena
-- @treturn[1] {{task=,text=},...} failures: tasks that the policy failed for, each once, at any step
-- @treturn[1] {{task=,text=},...} unusable: tasks whose documents cannot be used
-- @treturn[2] nil
-- @treturn[2] string what is wrong with the cluster, an event, or the policy
function M.run(deps, policy, cluster, list, seed, timeout_s, terms)
  local arena = Arena.new(deps, policy, limits_of(timeout_s), terms)
  local unusable, reason = fill(arena, cluster)
  if not unusable then return nil, reason end
  local run, steps = events.new_run(arena, copied(cluster.tasks), seed), {}
  run.failed, run.failures = {}, {}
  local done
  done, reason = add_steps(run, steps, "start")
  if not done then return nil, reason end
  for position, event in ipairs(list) do
    local what
    what, reason = events.apply(run, event)
    if not what then return nil, ("event %d: %s"):format(position, reason) end
    done, reason = add_steps(run, steps, what)
    if not done then return nil, reason end
  end
  return steps, arena, run.failures, unusable
end

-- How many replicas each task has, in all and on each node.
local function by_task(places)
  local tasks = {}
  for slot, host in pairs(places) do
    local name = slot:match("^(.*)%.%d+$")
    local task = tasks[name] or { total = 0, on = {} }
    tasks[name], task.total, task.on[host] = task, task.total + 1, (task.on[host] or 0) + 1
  end
  return tasks
end

local NONE <const> = { total = 0, on = {} }

-- Of the larger of both numbers, those that have no counterpart on the same node.
local function apart(one, other)
  local common = 0
  for host, count in pairs(one.on) do common = common + math.min(count, other.on[host] or 0) end
  return math.max(one.total, other.total) - common
end

--- How many replicas two runs put on different nodes, or only one of them puts anywhere. Slots of one task are
--- interchangeable: a drain gives them other numbers.
-- @tparam table one see Arena:places
-- @tparam table other
-- @treturn integer
function M.elsewhere(one, other)
  local ones, others, count = by_task(one), by_task(other), 0
  for name, task in pairs(ones) do count = count + apart(task, others[name] or NONE) end
  for name, task in pairs(others) do
    if not ones[name] then count = count + task.total end
  end
  return count
end

return M
