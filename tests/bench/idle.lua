--- An idle cluster of three at the seed's settings: requests, memory and CPU of each node.
local uv = require("luv")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local WINDOW_S = 60
local KB = 1024

-- Private and proportional memory of one process, in bytes.
local function memory_of(pid)
  local text = process.slurp(("/proc/%d/smaps_rollup"):format(pid))
  local function kb(name)
    return tonumber(text:match("\n" .. name .. ":%s*(%d+)") or 0)
  end
  return {
    private = (kb("Private_Clean") + kb("Private_Dirty")) * KB, dirty = kb("Private_Dirty") * KB,
    pss = kb("Pss") * KB,
  }
end

-- Time on a processor so far, in seconds.
local function cpu_of(pid)
  return tonumber(process.slurp(("/proc/%d/schedstat"):format(pid)):match("^%d+") or 0) / 1e9
end

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

local function sum(pids, measure, field)
  local total = 0
  for _, pid in ipairs(pids) do
    local value = measure(pid)
    total = total + (field and value[field] or value)
  end
  return total
end

local function mb(bytes)
  return ("%.2f"):format(bytes / KB / KB)
end

local function watch(agent)
  local pids, planner = processes_of(agent)
  agent.proxy:reset_counts()
  return {agent = agent, pids = pids, planner = planner, cpu = sum(pids, cpu_of), planner_cpu = planner and cpu_of(planner) or 0}
end

local function rows_of(role, before, seconds)
  local pids, proxy, aims = before.pids, before.agent.proxy, {observer = "<= 16", leader = "<= 30"}
  local cpu = (sum(pids, cpu_of) - before.cpu) / seconds * 100
  local rows = {
    {("requests to Consul a minute, %s"):format(role), ("%.0f  (%d B up, %d B down)"):format(
      proxy.requests * 60 / seconds, proxy.bytes_up, proxy.bytes_down), aims[role]},
    {("memory of agent, keeper, logger, MB, %s"):format(role), ("private %s (written %s), PSS %s, %d processes"):format(
      mb(sum(pids, memory_of, "private")), mb(sum(pids, memory_of, "dirty")), mb(sum(pids, memory_of, "pss")), #pids),
      "private <= 5"},
    {("CPU idle, %% of a core, %s"):format(role), ("%.3f"):format(cpu), "< 0.1"},
  }
  if before.planner then
    local memory = memory_of(before.planner)
    rows[#rows + 1] = {"memory of the planner, MB", ("private %s (written %s), PSS %s"):format(
      mb(memory.private), mb(memory.dirty), mb(memory.pss)), "private <= 4"}
    rows[#rows + 1] = {"CPU of the planner, % of a core",
      ("%.3f"):format((cpu_of(before.planner) - before.planner_cpu) / seconds * 100)}
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
