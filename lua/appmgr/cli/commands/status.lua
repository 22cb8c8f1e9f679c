--- `appmgr status`: how this node is.

local cluster_report = require("appmgr.cli.cluster_report")
local grid = require("appmgr.cli.grid")
local problem_list = require("appmgr.cli.problem_list")

local TEXT = [[
appmgr status
Show how this node is: its place in the cluster, its applications, its problems.

  --json           for programs]]

local STATES <const> = {
  "running", "waiting", "init", "starting", "fini", "stopping", "backoff", "failed", "gave_up", "blocked", "disabled",
}

--- @tparam boolean is_known whether the keeper has said what runs
-- @tparam ?boolean is_leaving whether all are being stopped
local function describe_applications(applications, is_known, is_leaving)
  if is_leaving then return ("the node is leaving: %d are being stopped"):format(applications.total) end
  if not is_known and applications.total == 0 then return "not known yet: the keeper has not answered" end
  local parts, rest = {}, {}
  for state in pairs(applications.states) do rest[state] = true end
  for _, state in ipairs(STATES) do
    if applications.states[state] then parts[#parts + 1] = ("%d %s"):format(applications.states[state], state) end
    rest[state] = nil
  end
  for state in pairs(rest) do parts[#parts + 1] = ("%d %s"):format(applications.states[state], state) end
  local text = #parts > 0 and table.concat(parts, ", ") or "none"
  local unhealthy = applications.unhealthy or 0
  return unhealthy > 0 and ("%s; %d of those that run unhealthy"):format(text, unhealthy) or text
end

local function describe_leader(cluster)
  if cluster.is_leader then return cluster.leader .. " (this node)" end
  return cluster.leader or "nobody leads at the moment"
end

local function describe_session(session)
  if not session then return "none" end
  return ("%s (valid for %d s more)"):format(session.id, session.lease_seconds)
end

local function describe_containment(containment)
  if not containment then return "not known yet" end
  if containment.level == "cgroup" then return "cgroup, in " .. containment.directory end
  return ("session (no cgroups: %s)"):format(containment.reason or "the keeper says nothing of them")
end

local function describe_loop(loop)
  return ("its longest turn took %d ms; %d took over 50 ms"):format(loop.longest_ms, loop.slow_turns)
end

local function cluster_lines(cluster)
  if not cluster.consul then return { { "Consul", "not configured, this node works alone" } } end
  return {
    { "leader", describe_leader(cluster) },
    { "session", describe_session(cluster.session) },
    { "cluster", cluster.id or "not known yet" },
  }
end

local OUTCOMES <const> = { "ok", "error", "timeout", "no_memory", "bad_result" }

local function describe_policy(leading)
  local policy = leading.policy
  if not policy then return "none yet" end
  local text = ("%s@%s (%s)"):format(policy.name, policy.hash:sub(1, 12),
    policy.from == "Consul" and "kept in Consul" or "of the configuration")
  return leading.trying and ("%s; %s is being tried"):format(text, leading.trying) or text
end

local function describe_outcomes(outcomes)
  local parts = {}
  for _, name in ipairs(OUTCOMES) do
    if outcomes[name] > 0 then parts[#parts + 1] = ("%d %s"):format(outcomes[name], name) end
  end
  return #parts > 0 and table.concat(parts, ", ") or "none yet"
end

local function describe_shadow(shadow)
  if not shadow then return nil end
  if shadow.error then return ("%s: %s"):format(shadow.policy, shadow.error) end
  if not shadow.at then return shadow.policy .. ": not compared yet" end
  local text = ("%s: would put %d of %d replicas elsewhere"):format(shadow.policy, shadow.elsewhere, shadow.replicas)
  return shadow.failure and ("%s; of that are what it fails for: %s"):format(text, shadow.failure) or text
end

--- What this node does as the leader.
local function leading_lines(leading)
  return {
    { "policy", describe_policy(leading) },
    { "decisions", describe_outcomes(leading.outcomes) },
    { "shadow", describe_shadow(leading.shadow) },
    { "rebalance", leading.rebalance },
  }
end

--- For which tasks the policy failed, and where in it.
local function failure_lines(leading)
  local lines = {}
  for _, failure in ipairs(leading and leading.failures or {}) do
    lines[#lines + 1] = ('  the policy failed for task "%s" (%s): %s'):format(failure.task, failure.outcome, failure.message)
    for line in (failure.traceback or ""):gmatch("[^\n]+") do lines[#lines + 1] = "    " .. line end
  end
  return lines
end

local function format(status)
  local lines = {
    { "node", status.node },
    { "description", status.description },
    { "agent", ("%s, pid %d, up %s"):format(status.version, status.pid, grid.duration(status.uptime_seconds)) },
    { "state", status.state_dir },
  }
  for _, line in ipairs(cluster_lines(status.cluster)) do lines[#lines + 1] = line end
  local leading = status.leading and leading_lines(status.leading) or {}
  table.move(leading, 1, #leading, #lines + 1, lines)
  lines[#lines + 1] = { "applications", describe_applications(status.applications, status.containment ~= nil, status.leaving) }
  lines[#lines + 1] = { "containment", describe_containment(status.containment) }
  lines[#lines + 1] = { "loop", describe_loop(status.loop) }
  local problems = problem_list.grouped(status.problems)
  lines[#lines + 1] = { "problems", #problems == 0 and "none" or grid.count(#problems, "problem") }
  local text = { grid.list(lines) }
  for _, problem in ipairs(problems) do
    text[#text + 1] = ("  since %s  %s"):format(os.date("%Y-%m-%d %H:%M:%S", problem.since // 1),
      (problem.text:gsub("\n", "\n      ")))
    for _, effect in ipairs(problem.effects) do text[#text + 1] = "      " .. effect end
  end
  local failures = failure_lines(status.leading)
  table.move(failures, 1, #failures, #text + 1, text)
  return table.concat(text, "\n")
end

local function run(context, arguments)
  local status, err = context:call("status")
  if not status then return context:fail(err) end
  if status.cluster.consul and not status.cluster.leader then
    local leader, leader_error = cluster_report.leader(context)
    status.cluster.leader = leader or (leader_error and "unknown: " .. leader_error) or nil
  end
  if arguments.json then
    context:print_json(status)
  else
    context:print(format(status))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
