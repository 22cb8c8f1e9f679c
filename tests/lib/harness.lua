--- What an integration file opens in setup and closes in teardown: a folder of its
-- own, Consuls, proxies and agents in it, and the certainty that all of it is gone afterwards.
--
--     local test, consul
--     setup(function() test = harness.open(); consul = test:start_consul() end)
--     teardown(function() test:close() end)
local uv = require("luv")
local Agent = require("tests.lib.agent")
local Consul = require("tests.lib.consul")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")
local Proxy = require("tests.lib.proxy")

local M = {}

local Test = {}
Test.__index = Test

--- Opens a test with a folder of its own.
function M.open()
  local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/appmgr-test-XXXXXX"))
  return setmetatable({dir = dir, agents = {}, consuls = {}, proxies = {}, count = 0, marks = {}, marked = 0}, Test)
end

local function subfolder(self, name)
  self.count = self.count + 1
  local path = ("%s/%d-%s"):format(self.dir, self.count, name)
  assert(uv.fs_mkdir(path, 448))
  return path
end

--- Starts a private Consul; options as in consul.lua, dir is given.
function Test:start_consul(options)
  options = options or {}
  options.dir = subfolder(self, options.name or "consul")
  local consul = Consul.start(options)
  table.insert(self.consuls, consul)
  return consul
end

--- Opens a proxy (proxy.lua) in front of a Consul, or of nothing.
function Test:start_proxy(consul, options)
  local proxy = Proxy.start(consul and consul.http_port, options)
  table.insert(self.proxies, proxy)
  return proxy
end

--- Describes an agent; call start() on it.
function Test:agent(node, options)
  options = options or {}
  options.node, options.dir = node, subfolder(self, (node:gsub("/", "_")))
  local agent = Agent.new(options)
  table.insert(self.agents, agent)
  return agent
end

--- Starts an agent on `consul` and waits until it has joined.
function Test:join(node, consul, options)
  options = options or {}
  options.consul = options.consul or consul
  return self:agent(node, options):start():wait_joined()
end

--- A command that does nothing for a long time and can be told from all others on the
-- machine by the odd fraction of a second it sleeps longer.
-- @tparam string name letters; the same name gives the same command
function Test:sleeper(name)
  if not self.marks[name] then
    self.marked = self.marked + 1
    self.marks[name] = ("0.000%d%03d"):format(uv.os_getpid(), self.marked)
  end
  return "sleep 100000 " .. self.marks[name]
end

--- Pids of the processes of one sleeper.
function Test:sleepers(name)
  local command, pids = self:sleeper(name), {}
  for _, pid in ipairs(process.find(command)) do
    -- The shell that started it carries the same words among others.
    if process.command_line(pid) == command then
      pids[#pids + 1] = pid
    end
  end
  return pids
end

--- Waits until exactly `count` processes of a sleeper run.
-- @treturn table their pids
function Test:wait_for_sleepers(name, count, deadline_ms)
  return loop.wait_for(("%d processes of %s run"):format(count, name), deadline_ms or 10000, function()
    local pids = self:sleepers(name)
    return #pids == count and pids, #pids .. " run"
  end)
end

--- Where a task's replicas are assigned: "assignment/node task.slot version since", sorted; one that is to go says so.
function Test:placements(consul, task) -- luacheck: no self
  local list = {}
  for _, key in ipairs(consul:keys("assignment/")) do
    for _, replica in ipairs((consul:document(key) or {replicas = {}}).replicas) do
      if replica.task == task then
        local leaving = replica.leaving and " leaving" or ""
        list[#list + 1] = ("%s %s.%d %s %d%s"):format(key, task, replica.slot, replica.version, replica.since, leaving)
      end
    end
  end
  table.sort(list)
  return list
end

--- Waits until a leader has decided on what it sees now: a new task is assigned, and taken away again.
-- What a decision does to everything else is then to be seen. (Assigned and not running: the node may
-- be one whose agent is away for a moment.)
function Test:expect_decision(consul, deadline_ms)
  self.decisions = (self.decisions or 0) + 1
  local task = "sign" .. self.decisions
  consul:put("task/" .. task, {content = {command = self:sleeper(task)}, replication = 1})
  loop.wait_for(task .. " is assigned", deadline_ms or 20000, function()
    return #self:placements(consul, task) == 1
  end)
  consul:delete("task/" .. task)
  loop.wait_for(task .. " is to go", 20000, function()
    local left = self:placements(consul, task)[1]
    return not left or left:find("leaving", 1, true), left
  end)
end

--- Ends everything and removes the folder.
-- @treturn {string,...} what sanitizers said, and what would not end
function Test:end_all()
  local complaints = {}
  for _, agent in ipairs(self.agents) do
    local ok, reason = pcall(agent.destroy, agent)
    complaints[#complaints + 1] = agent:sanitizer_text() or (not ok and reason) or nil
  end
  for _, proxy in ipairs(self.proxies) do
    proxy:close()
  end
  process.stop_all()
  if os.getenv("APPMGR_TEST_KEEP") then
    io.stderr:write("kept: ", self.dir, "\n")
  else
    -- Nothing of this test is alive any more, so blocking is fine here.
    os.execute("rm -rf '" .. self.dir .. "'")
  end
  return complaints
end

--- Ends everything, at the end of the test's process.
-- Raises when a sanitizer complained in any daemon.
function Test:close()
  local complaints = self:end_all()
  loop.close_all()
  if #complaints > 0 then
    error(table.concat(complaints, "\n"), 0)
  end
end

return M
