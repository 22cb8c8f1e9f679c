--- `appmgr policy simulate`: what does a policy do with a whole cluster?

local documents = require("appmgr.cli.documents")
local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")
local policy_file = require("appmgr.workbench.policy_file")
local rebalance_terms = require("appmgr.rebalance_terms")
local simulation = require("appmgr.workbench.simulation")
local snapshots = require("appmgr.workbench.snapshots")
local synthetic = require("appmgr.workbench.synthetic")

local TEXT = [[
appmgr policy simulate
Place a large cluster's tasks in memory, let things happen to it, and measure; without an agent.

The cluster is made up by chance (a third of the tasks bound to some of the nodes), or a snapshot.
Events are a JSON array: {"lose": 3}, {"lose": "n00007"}, {"join": 3}, {"drain": "n00001"},
{"undrain": "n00001"}, {"apply": {"name": "web", …}}, {"scale": {"name": "web", "replication": 5}},
{"remove": "web"}. After each of them replicas move to where they are better off, where there is
--rebalance '{"max_moves": 5, "margin": 0.2}', as Policy.rebalance of the configuration says. Times are
of the processor, for deciding and checking the decision. It fails when the policy fails for a task.

  --nodes N        how many nodes (default: 100)
  --tasks N        how many tasks (default: 100)
  --replicas N     of each task (default: 10)
  --seed N         of what is made up (default: 1)
  --snapshot PATH  the cluster that "appmgr snapshot" wrote, instead
  --policy NAME    a policy's name or path (default: spread)
  --options JSON   the policy's options
  --compare NAME   run another policy, too
  --events PATH    what happens then
  --rebalance JSON  move what is better off elsewhere, too, by these terms ({}: the defaults)
  --json           for programs]]

local MAX_BYTES <const>, MAX_TOLD <const> = 256 * 1024 * 1024, 5

local function cluster_of(context, arguments)
  if arguments.snapshot then
    local document, reason = documents.read(context, arguments.snapshot, MAX_BYTES, "that a snapshot may have")
    if not document then return nil, reason end
    return snapshots.cluster(document, context.core.codec)
  end
  return synthetic.cluster({
    nodes = arguments.nodes or 100, tasks = arguments.tasks or 100, replicas = arguments.replicas or 10,
    seed = arguments.seed or 1,
  })
end

local function events_of(context, arguments)
  if not arguments.events then return {} end
  local list, reason = documents.read(context, arguments.events, MAX_BYTES, "that events may have")
  if not list then return nil, reason end
  if not json.is_array(list) then return nil, arguments.events .. ": is no array of events" end
  return list
end

-- The most memory this process ever had, in MB; see proc(5).
local function peak_memory_mb(context)
  local status = context.core.file.read("/proc/self/status", 65536) or ""
  local kilobytes = tonumber(status:match("VmHWM:%s*(%d+) kB"))
  return kilobytes and kilobytes / 1024 or nil
end

local function summary_of(context, name, steps)
  local first, last = steps[1], steps[#steps]
  local moves, seconds = 0, 0
  for _, step in ipairs(steps) do moves, seconds = moves + step.moves, seconds + step.cpu_seconds end
  return {
    policy = name, placed = last.placed, pending = last.pending, moves = moves, cpu_seconds = seconds,
    placements_per_second = first.started / math.max(first.cpu_seconds, 1e-6), peak_memory_mb = peak_memory_mb(context),
    steps = json.array(steps),
  }
end

local function percent(share)
  return share and ("%.1f %%"):format(100 * share) or nil
end

-- What a step with moves for balance would take in a real cluster.
local function event_of(step)
  if not step.balance_seconds then return step.event end
  return step.moves == 0 and "rebalance" or ("rebalance, in %s"):format(grid.duration(step.balance_seconds))
end

-- A thousand tasks that fail for one reason are told by a few.
local function tell(context, list, suffix)
  for position, entry in ipairs(list) do
    if position > MAX_TOLD then return context:warn(("and %s more"):format(grid.count(#list - MAX_TOLD, "task"))) end
    context:warn(("task \"%s\": %s%s"):format(entry.task, entry.text, suffix))
  end
end

local function print_run(context, summary)
  local rows = {}
  for position, step in ipairs(summary.steps) do
    rows[position] = {
      event_of(step), step.placed, step.pending, step.started, step.moves, step.lost, ("%d of %d"):format(step.nodes_used, step.nodes),
      ("%.3f"):format(step.imbalance), percent(step.utilisation.cpu), percent(step.utilisation.memory_mb),
      ("%.3f s"):format(step.cpu_seconds),
    }
  end
  context:print(("policy %s"):format(summary.policy))
  context:print(grid.format({
    "EVENT", ">PLACED", ">PENDING", ">STARTED", ">MOVED", ">LOST", ">NODES USED", ">IMBALANCE", ">CPU", ">MEMORY", ">TIME",
  }, rows))
  context:print(("%.0f placements a second; at most %.0f MB of memory"):format(summary.placements_per_second,
    summary.peak_memory_mb or 0))
  local last = summary.steps[#summary.steps]
  if last.balance then context:print("rebalance: " .. last.balance) end
  tell(context, summary.failures, "")
  tell(context, summary.unusable, "; what runs of it stays as it is")
end

local function run_policy(context, arguments, word, options)
  local policy, reason = policy_file.load(context, word, options)
  if not policy then return nil, reason end
  local cluster, list
  cluster, reason = cluster_of(context, arguments)
  if not cluster then return nil, reason end
  list, reason = events_of(context, arguments)
  if not list then return nil, reason end
  local terms
  if arguments.rebalance then
    terms, reason = rebalance_terms.parse(arguments.rebalance)
    if not terms then return nil, "--rebalance: " .. reason end
  end
  local steps, arena, failures, unusable = simulation.run(policy_file.arena_deps(context), policy, cluster, list,
    arguments.seed or 1, terms)
  if not steps then return nil, ("policy \"%s\": %s"):format(policy.name, arena) end
  local summary = summary_of(context, policy.name, steps)
  summary.failures, summary.unusable = json.array(failures), json.array(unusable)
  return summary, arena
end

local function run(context, arguments)
  -- As the planner's process does: what a run needs stays anyway, looking through it again and again only takes time.
  collectgarbage("incremental", 400, 400)
  local summary, arena = run_policy(context, arguments, arguments.policy or "spread", arguments.options)
  if not summary then return context:fail(arena) end
  local has_failed = #summary.failures > 0
  if not arguments.json then print_run(context, summary) end
  if arguments.compare then
    local other, other_arena = run_policy(context, arguments, arguments.compare)
    if not other then return context:fail(other_arena) end
    summary.compared, has_failed = other, has_failed or #other.failures > 0
    other.elsewhere = simulation.elsewhere(arena, other_arena)
    if not arguments.json then
      context:print("")
      print_run(context, other)
      context:print(("%s would have %s elsewhere than %s"):format(other.policy, grid.count(other.elsewhere, "replica"), summary.policy))
    end
  end
  if arguments.json then context:print_json(summary) end
  return has_failed and 1 or 0
end

return { text = TEXT, run = run }
