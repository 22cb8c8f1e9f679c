--- `appmgr policy simulate`: what does a policy do with a whole cluster?

local documents = require("appmgr.cli.documents")
local frame = require("appmgr.planner.frame")
local grid = require("appmgr.cli.grid")
local policy_file = require("appmgr.workbench.policy_file")
local rebalance_terms = require("appmgr.rebalance_terms")
local workbench = require("appmgr.cli.workbench")

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
  --timeout N      seconds it may take for one task (default: 60)
  --memory N       MB it may have; 1,000,000 replicas take 1500 (default: 4096)
  --json           for programs]]

-- What the planner takes in one message is 256 MiB, with a line before it.
local MAX_BYTES <const>, MAX_TOLD <const> = 255 * 1024 * 1024, 5
local TIMEOUT_S <const>, MEMORY_MB <const> = 60, 4096
-- The policy is interrupted first, where it can be.
local GRACE_S <const> = 5

--- The messages that describe the cluster, and what happens to it.
local function cluster_messages(context, arguments)
  local header, text = {
    type = "cluster", nodes = arguments.nodes or 100, tasks = arguments.tasks or 100, replicas = arguments.replicas or 10,
    seed = arguments.seed or 1,
  }, nil
  if arguments.snapshot then
    local reason
    header = { type = "snapshot" }
    text, reason = documents.text(context, arguments.snapshot, MAX_BYTES, "that a snapshot may have")
    if not text then return nil, reason end
  end
  local messages = { frame.encode(header, text) }
  if arguments.events then
    local events, reason = documents.text(context, arguments.events, MAX_BYTES, "that events may have")
    if not events then return nil, reason end
    messages[2] = frame.encode({ type = "events", file = documents.shown(arguments.events) }, events)
  end
  return messages
end

-- The most memory a process ever had, in MB; see proc(5).
local function peak_memory_mb(context, pid)
  local status = context.core.file.read(("/proc/%d/status"):format(pid), 65536) or ""
  local kilobytes = tonumber(status:match("VmHWM:%s*(%d+) kB"))
  return kilobytes and kilobytes / 1024 or nil
end

local function summary_of(context, name, answer, process)
  local steps, failure = answer.steps, answer.failures[1]
  local first, last = steps[1], steps[#steps]
  local moves, seconds = 0, 0
  for _, step in ipairs(steps) do moves, seconds = moves + step.moves, seconds + step.cpu_seconds end
  return {
    policy = name, outcome = failure and failure.outcome or "ok",
    placed = last.placed, pending = last.pending, moves = moves, cpu_seconds = seconds,
    placements_per_second = first.started / math.max(first.cpu_seconds, 1e-6), peak_memory_mb = peak_memory_mb(context, process:pid()),
    steps = steps, failures = answer.failures, unusable = answer.unusable, elsewhere = answer.elsewhere,
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
      event_of(step), step.placed, step.pending, step.started, step.moves, step.stopped, step.lost,
      ("%d of %d"):format(step.nodes_used, step.nodes), ("%.3f"):format(step.imbalance),
      percent(step.utilisation.cpu), percent(step.utilisation.memory_mb),
      ("%.3f s"):format(step.cpu_seconds),
    }
  end
  context:print(("policy %s"):format(summary.policy))
  context:print(grid.format({
    "EVENT", ">PLACED", ">PENDING", ">STARTED", ">MOVED", ">STOPPED", ">LOST", ">NODES USED", ">IMBALANCE", ">CPU", ">MEMORY", ">TIME",
  }, rows))
  context:print(("%.0f placements a second; at most %.0f MB of memory"):format(summary.placements_per_second,
    summary.peak_memory_mb or 0))
  local last = summary.steps[#summary.steps]
  if last.balance then context:print("rebalance: " .. last.balance) end
  tell(context, summary.failures, "")
  tell(context, summary.unusable, "; what runs of it stays as it is")
end

local function print_compared(context, summary, other)
  context:print("")
  print_run(context, other)
  context:print(("%s would have %s elsewhere than %s"):format(other.policy, grid.count(other.elsewhere, "replica"), summary.policy))
end

--- The policies to run, one or two.
local function policies_of(context, arguments)
  local first, reason = policy_file.read(context, arguments.policy or "spread", arguments.options)
  if not first then return nil, reason end
  if not arguments.compare then return { first } end
  local second, second_reason = policy_file.read(context, arguments.compare)
  return second and { first, second }, second_reason
end

local function messages_of(context, arguments, policies, timeout_s)
  local terms, terms_error
  if arguments.rebalance then terms, terms_error = rebalance_terms.parse(arguments.rebalance) end
  if terms_error then return nil, "--rebalance: " .. terms_error end
  local messages, reason = cluster_messages(context, arguments)
  if not messages then return nil, reason end
  for _, policy in ipairs(policies) do
    messages[#messages + 1] = workbench.policy(policy)
    messages[#messages + 1] = frame.encode({ type = "simulate", seed = arguments.seed or 1, timeout_s = timeout_s, rebalance = terms })
  end
  return messages
end

-- What went wrong is the first policy's or the cluster's, or the second policy's when the first has run.
local function fail(context, arguments, policy, failure)
  local text = failure.message
  if failure.type ~= "failed" and not failure.is_refused then text = ("policy \"%s\": %s"):format(policy.name, text) end
  if arguments.json then context:print_json({ policy = policy.name, outcome = failure.outcome, error = text }) end
  return context:fail(text)
end

local function finish(context, arguments, summary, other)
  if other then summary.compared = other end
  if arguments.json then
    context:print_json(summary)
  elseif other then
    print_compared(context, summary, other)
  end
  return (#summary.failures > 0 or other and #other.failures > 0) and 1 or 0
end

-- A cluster is made up, or it is a snapshot.
local function is_both(arguments)
  for _, name in ipairs({ "nodes", "tasks", "replicas" }) do
    if arguments.snapshot and arguments[name] then return ("--%s and --snapshot exclude each other"):format(name) end
  end
end

local function run(context, arguments)
  local contradiction = is_both(arguments)
  if contradiction then return context:misuse(contradiction, "appmgr policy simulate --help") end
  local timeout_s = arguments.timeout or TIMEOUT_S
  local policies, reason = policies_of(context, arguments)
  if not policies then return context:fail(reason) end
  local messages, message_error = messages_of(context, arguments, policies, timeout_s)
  if not messages then return context:fail(message_error) end
  local summaries = {}
  local done, failure = workbench.run(context.core, messages, function(answer, _, process)
    local position = #summaries + 1
    summaries[position] = summary_of(context, policies[position].name, answer, process)
    if position == 1 and not arguments.json then print_run(context, summaries[1]) end
    return position == #policies
  end, { timeout_s = timeout_s + GRACE_S, memory_mb = arguments.memory or MEMORY_MB, is_adjustable = true })
  if not done then return fail(context, arguments, policies[#summaries + 1], failure) end
  return finish(context, arguments, table.unpack(summaries))
end

return { text = TEXT, run = run }
