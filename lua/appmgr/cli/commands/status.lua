--- `appmgr status`: how this node is.

local cluster_report = require("appmgr.cli.cluster_report")
local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr status
Show how this node is: its place in the cluster, its applications, its problems.

  --json           for programs]]

local STATES <const> = {
  "running", "waiting", "init", "starting", "fini", "stopping", "backoff", "failed", "gave_up", "blocked", "disabled",
}

local function describe_applications(applications)
  local parts, rest = {}, {}
  for state in pairs(applications.states) do rest[state] = true end
  for _, state in ipairs(STATES) do
    if applications.states[state] then parts[#parts + 1] = ("%d %s"):format(applications.states[state], state) end
    rest[state] = nil
  end
  for state in pairs(rest) do parts[#parts + 1] = ("%d %s"):format(applications.states[state], state) end
  return #parts > 0 and table.concat(parts, ", ") or "none"
end

local function describe_leader(cluster)
  if cluster.is_leader then return cluster.leader .. " (this node)" end
  return cluster.leader or "nobody leads at the moment"
end

local function describe_session(session)
  if not session then return "none" end
  return ("%s (valid for %d s more)"):format(session.id, session.lease_seconds)
end

local function cluster_lines(cluster)
  if not cluster.consul then return { { "Consul", "not configured, this node works alone" } } end
  return {
    { "leader", describe_leader(cluster) },
    { "session", describe_session(cluster.session) },
    { "cluster", cluster.id or "not known yet" },
  }
end

local function format(status)
  local lines = {
    { "node", status.node },
    { "description", status.description },
    { "agent", ("%s, pid %d, up %s"):format(status.version, status.pid, grid.duration(status.uptime_seconds)) },
    { "state", status.state_dir },
  }
  for _, line in ipairs(cluster_lines(status.cluster)) do lines[#lines + 1] = line end
  lines[#lines + 1] = { "applications", describe_applications(status.applications) }
  lines[#lines + 1] = { "problems", #status.problems == 0 and "none" or grid.count(#status.problems, "problem") }
  local text = { grid.list(lines) }
  for _, problem in ipairs(status.problems) do
    text[#text + 1] = ("  since %s  %s"):format(os.date("%Y-%m-%d %H:%M:%S", problem.since // 1), problem.text)
  end
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
