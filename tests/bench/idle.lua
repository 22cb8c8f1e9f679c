--- An idle cluster of three at the seed's settings: requests, memory and CPU of each node.
local uv = require("luv")
local cost = require("tests.bench.cost")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local WINDOW_S = 60

-- The processes that serve one node: agent, keeper, logger; and its planner, if it has one.
local function processes_of(agent)
  local own, planner = {agent.process.pid}, nil
  for _, pid in ipairs(process.find("appmgr-keeper")) do
    local parent = process.look(pid)
    local keeper = agent:keeper_pid()
    if pid == keeper or (parent and parent.parent == keeper) then
      own[#own + 1] = pid
    end
  end
  for _, pid in ipairs(process.find("appmgr-planner")) do
    if process.look(pid).parent == agent.process.pid then
      planner = pid
    end
  end
  return own, planner
end

local function watch(agent)
  local pids, planner = processes_of(agent)
  agent.proxy:reset_counts()
  return {
    agent = agent, pids = pids, planner = planner, cpu = cost.sum(pids, cost.cpu), planner_cpu = planner and cost.cpu(planner) or 0,
  }
end

local function rows_of(role, before, seconds)
  local pids, proxy, aims = before.pids, before.agent.proxy, {observer = "<= 16", leader = "<= 30"}
  local cpu = (cost.sum(pids, cost.cpu) - before.cpu) / seconds * 100
  local rows = {
    {("requests to Consul a minute, %s"):format(role), ("%.0f  (%d B up, %d B down)"):format(
      proxy.requests * 60 / seconds, proxy.bytes_up, proxy.bytes_down), aims[role]},
    {("memory of agent, keeper, logger, MB, %s"):format(role), ("private %s (written %s), PSS %s, %d processes"):format(
      cost.mb(cost.sum(pids, cost.memory, "private")), cost.mb(cost.sum(pids, cost.memory, "dirty")),
      cost.mb(cost.sum(pids, cost.memory, "pss")), #pids),
      "private <= 5"},
    {("CPU idle, %% of a core, %s"):format(role), ("%.3f"):format(cpu), "< 0.1"},
  }
  if before.planner then
    local memory = cost.memory(before.planner)
    rows[#rows + 1] = {"memory of the planner, MB", ("private %s (written %s), PSS %s"):format(
      cost.mb(memory.private), cost.mb(memory.dirty), cost.mb(memory.pss)), "private <= 4"}
    rows[#rows + 1] = {"CPU of the planner, % of a core",
      ("%.3f"):format((cost.cpu(before.planner) - before.planner_cpu) / seconds * 100)}
  end
  return rows
end

local function start(test, consul, node, candidate)
  local proxy = test:start_proxy(consul)
  local agent = test:join(node, consul, {config = {
    Consul = {url = proxy.url, session_TTL = 30, report_interval = 10, topology_interval = 5, candidate = candidate},
  }})
  agent.proxy = proxy
  return agent
end

--- Measures in a test of the harness.
-- @treturn table rows for statistics.print
return function(test)
  local consul = test:start_consul{kind = "server", name = "server"}
  local agents = {
    leader = start(test, consul, "alpha", true),
    candidate = start(test, consul, "beta", true),
    observer = start(test, consul, "gamma", false),
  }
  loop.wait_for("alpha leads", 10000, function() return consul:leader() == "alpha" end)
  consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 3})
  test:wait_for_sleepers("web", 3)
  loop.pass(15000)
  local before, rows = {}, {}
  for role, agent in pairs(agents) do
    before[role] = watch(agent)
  end
  local began = uv.hrtime()
  loop.pass(WINDOW_S * 1000)
  local seconds = (uv.hrtime() - began) / 1e9
  for _, role in ipairs{"leader", "candidate", "observer"} do
    table.move(rows_of(role, before[role], seconds), 1, 5, #rows + 1, rows)
  end
  return rows
end
