--- What an agent refuses to start with, and what it says about it.
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("an agent refuses", function()
  local test

  setup(function() test = harness.open() end)
  teardown(function() test:close() end)

  -- Starts an agent that must end by itself; returns what it said.
  local function refused(agent, texts)
    agent:launch()
    local code = agent.process:wait(10000)
    assert.not_equal(0, code)
    for _, text in ipairs(texts) do
      assert.truthy(agent:log():find(text, 1, true), text .. " in " .. agent:log())
    end
    assert.is_nil(agent:keeper_pid())
  end

  it("unknown configuration keys, naming the nearest known one", function()
    refused(test:agent("alpha", {config = {Aplications = {}, Consul = {url = "http://127.0.0.1:1", sesion_TTL = 30}}}),
      {"Aplications", "Applications", "session_TTL", "appmgr.json"})
  end)

  it("a configuration that is no JSON, with the place", function()
    local agent = test:agent("alpha")
    process.spit(agent.config_path, '{\n  "Applications": [\n')
    refused(agent, {"appmgr.json:3:"})
  end)

  it("a configuration that is not there", function()
    local agent = test:agent("alpha")
    os.remove(agent.config_path)
    refused(agent, {agent.config_path, "No such file"})
  end)

  it("wrong values, all of them at once", function()
    refused(test:agent("alpha", {config = {
      LogLevel = "LOUD",
      Consul = {url = 7, session_TTL = 2, report_interval = -1},
      Applications = {
        {name = "../up", command = "true"}, {name = "empty"},
        {name = "twice", command = "true"}, {name = "twice", command = "true"},
      },
    }}), {"LogLevel", "url", "session_TTL", "report_interval", "../up", "twice", "command"})
  end)

  it("limits and capabilities that are none", function()
    local limited = {name = "x", command = "true", resource_limit = {memory_mb = 0, swap = 1}, capabilities = {"fly"}}
    refused(test:agent("alpha", {config = {Applications = {limited}}}), {"resource_limit.memory_mb", "swap_mb", '"fly"'})
  end)

  it("a node name that could be no key", function()
    refused(test:agent("a/b"), {"a/b"})
  end)

  it("a state directory that cannot be written", function()
    process.spit(test.dir .. "/file", "")
    refused(test:agent("alpha", {state_dir = test.dir .. "/file"}), {test.dir .. "/file"})
    refused(test:agent("alpha", {state_dir = "/proc/appmgr-state"}), {"/proc/appmgr-state"})
  end)

  it("a state directory that another agent uses", function()
    local first = test:agent("alpha", {config = {Applications = {{name = "own", command = test:sleeper("own")}}}}):start()
    test:wait_for_sleepers("own", 1)
    local second = test:agent("alpha", {state_dir = first.state_dir})
    second:launch()
    assert.not_equal(0, second.process:wait(10000))
    local log = second:log()
    assert.truthy(log:find(first.state_dir, 1, true) and log:find(tostring(first.process.pid), 1, true), log)
    assert.equal(1, #test:sleepers("own"))
    assert.equal(0, first:cli("status").code)
  end)

  it("a socket on which another agent listens; it takes over a stale one", function()
    local first = test:agent("beta"):start()
    local second = test:agent("beta")
    second.socket = first.socket
    second:launch()
    assert.not_equal(0, second.process:wait(10000))
    assert.truthy(second:log():find("in use", 1, true), second:log())
    assert.equal(0, first:cli("status").code)
    first:stop("sigkill")
    assert.is_truthy(uv.fs_stat(first.socket))
    first:start()
    assert.equal(0, first:cli("status").code)
  end)

  it("to share a node name: the second runs only its own applications, names the holder, and takes over", function()
    local consul = test:start_consul()
    local first = test:join("gamma", consul)
    local own = {name = "own", command = test:sleeper("second")}
    local second = test:agent("gamma", {consul = consul, config = {Applications = {own}}}):start()
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = "all"})
    test:wait_for_sleepers("second", 1)
    test:wait_for_sleepers("web", 1)
    loop.wait_for("status names who holds the name", 10000, function()
      local out = second:cli("status").stdout
      return out:find('the node name "gamma" is held by', 1, true), out
    end)
    local session = consul:entry("live/gamma").session
    loop.hold("the first one keeps it", 1500, function()
      return consul:entry("live/gamma").session == session and #test:sleepers("web") == 1
    end)
    first:cli("leave")
    first:stop()
    loop.wait_for("the second one has the name", 15000, function()
      local entry = consul:entry("live/gamma")
      return entry and entry.session ~= session
    end)
    test:wait_for_sleepers("web", 1, 15000)
  end)

  it("to share a node name that it had: it starts nothing more, resigns, and takes all up when the name is free", function()
    local consul = test:start_consul()
    local first = test:join("zeta", consul)
    loop.wait_for("zeta leads", 30000, function() return consul:leader() == "zeta" end)
    consul:put("task/kept", {content = {command = test:sleeper("kept")}, replication = "all"})
    local kept = test:wait_for_sleepers("kept", 1)
    local second = test:agent("zeta", {consul = consul, consul_settings = {candidate = false}}):start()
    loop.wait_for("the second one waits", 10000, function()
      return second:cli("status").stdout:find('the node name "zeta" is held by', 1, true)
    end)
    first.process:kill("sigstop")
    consul:session_destroy(consul:entry("live/zeta").session)
    loop.wait_for("the second one has the name", 10000, function() return consul:entry("live/zeta") end)
    first.process:kill("sigcont")
    loop.wait_for("the first one says who has its name", 10000, function()
      local out = first:cli("status").stdout
      return out:find('the node name "zeta" is held by an agent on', 1, true), out
    end)
    consul:put("task/new", {content = {command = test:sleeper("new")}, replication = "all"})
    loop.hold("it neither leads, nor starts anything, nor stops what runs", 2000, function()
      local leader = consul:entry("leader")
      return not (leader and leader.session) and #test:sleepers("new") == 0 and uv.kill(kept[1], 0) == 0
    end)
    second:destroy()
    consul:session_destroy(consul:entry("live/zeta").session)
    loop.wait_for("the first one leads again", 30000, function() return consul:leader() == "zeta" end)
    test:wait_for_sleepers("new", 1)
    assert.same(kept, test:sleepers("kept"))
  end)

  it("to share a node name with one that starts in the same moment: one of them has it", function()
    local consul = test:start_consul()
    local twins = {test:agent("eta", {consul = consul}), test:agent("eta", {consul = consul})}
    for _, twin in ipairs(twins) do
      twin:launch()
    end
    consul:put("task/twin", {content = {command = test:sleeper("twin")}, replication = "all"})
    test:wait_for_sleepers("twin", 1)
    local function is_refused(twin)
      return twin:cli("status").stdout:find('the node name "eta" is held by', 1, true) ~= nil
    end
    loop.wait_for("one of them waits", 10000, function() return is_refused(twins[1]) ~= is_refused(twins[2]) end)
    loop.hold("it runs nothing of the other's", 1500, function() return #test:sleepers("twin") == 1 end)
  end)

  it("half-written state: it says so and goes on without", function()
    local agent = test:agent("delta", {config = {Applications = {{name = "own", command = test:sleeper("half")}}}}):start()
    test:wait_for_sleepers("half", 1)
    agent:destroy()
    process.spit(agent.state_dir .. "/node.json", '{"node":"del')
    process.spit(agent.state_dir .. "/assignment.json", "\0\0\0")
    agent:start()
    test:wait_for_sleepers("half", 1)
    agent:wait_for_log("node.json")
  end)

  it("a port in use is told by Consul's client as what it is", function()
    -- Something listens that is no Consul: the agent runs on, and names what it met.
    local proxy = test:start_proxy(nil)
    proxy:lie(".", "garbage")
    local agent = test:agent("epsilon", {config = {
      Consul = {url = proxy.url, topology_interval = 1},
      Applications = {{name = "own", command = test:sleeper("port")}},
    }}):start()
    test:wait_for_sleepers("port", 1)
    loop.wait_for("status names the address", 10000, function()
      local out = agent:cli("status").stdout
      return out:find(proxy.url:match("127.*"), 1, true), out
    end)
  end)
end)
