--- A store that comes back empty: everything stays up, and the operator decides who is right.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

describe("a Consul that comes back empty", function()
  local test, consul, agents, pids

  local function running()
    return test:sleepers("web")
  end

  local function wipe()
    consul:stop()
    consul:start_again()
    for _, agent in pairs(agents) do
      agent:wait_joined(30000)
    end
    loop.wait_for("an agent leads", 30000, function() return consul:leader() end)
  end

  local function expect_frozen()
    for _, agent in pairs(agents) do
      loop.wait_for(agent.node .. " tells what is wrong and what to do", 15000, function()
        local out = agent:cli("status").stdout
        return out:find("cluster restore", 1, true) and out:find("cluster accept", 1, true), out
      end)
    end
    loop.hold("everything stays up and nothing is written", 2000, function()
      return #running() == 3 and #consul:keys("assignment/") == 0 and not consul:entry("meta"), #running() .. " run"
    end)
    assert.same(pids, running())
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    agents = {}
    for _, node in ipairs{"alpha", "beta"} do
      agents[node] = test:join(node, consul)
    end
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 3, max_per_node = 2})
    pids = test:wait_for_sleepers("web", 3)
  end)

  teardown(function() test:close() end)

  it("freezes the cluster", function()
    wipe()
    expect_frozen()
  end)

  it("starts no new task while it is in doubt", function()
    consul:put("task/new", {content = {command = test:sleeper("new")}, replication = 1})
    loop.hold("it waits", 1500, function() return #test:sleepers("new") == 0 end)
    consul:delete("task/new")
  end)

  it("is restored from what the agents remember, and nothing is restarted", function()
    local shown = agents.alpha:cli("cluster", "restore", "--json")
    assert.equal(0, shown.code, shown.stderr)
    assert.truthy(shown.stdout:find("web", 1, true), shown.stdout)
    assert.same({}, consul:keys("assignment/"), "the plan is only shown")
    local done = agents.alpha:cli("cluster", "restore", "--yes")
    assert.equal(0, done.code, done.stderr)
    loop.wait_for("tasks and assignments are back", 20000, function()
      return consul:entry("task/web") and consul:entry("meta")
        and consul:entry("assignment/alpha") and consul:entry("assignment/beta")
    end)
    loop.wait_for("nobody tells a problem", 20000, function()
      local problems = agents.alpha:json("status").problems
      return #problems == 0, problems[1] and problems[1].text
    end)
    assert.equal(3, consul:document("task/web").replication)
    assert.same(pids, running())
    consul:put("task/more", {content = {command = test:sleeper("more")}, replication = 2})
    test:wait_for_sleepers("more", 2, 20000)
    consul:delete("task/more")
    test:wait_for_sleepers("more", 0, 20000)
    assert.same(pids, running())
  end)

  it("is accepted as it is: what it does not know stops", function()
    wipe()
    expect_frozen()
    consul:put("task/fresh", {content = {command = test:sleeper("fresh")}, replication = 1})
    local done = agents.beta:cli("cluster", "accept")
    assert.equal(0, done.code, done.stderr)
    test:wait_for_sleepers("fresh", 1, 20000)
    test:wait_for_sleepers("web", 0, 20000)
    for _, agent in pairs(agents) do
      loop.wait_for(agent.node .. " is content", 20000, function()
        local problems = agent:json("status").problems
        return #problems == 0, problems[1] and problems[1].text
      end)
    end
  end)
end)
