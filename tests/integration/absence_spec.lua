--- Nodes that vanish, changes that would stop too much, and plans: on a real Consul.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

describe("a cluster with a grace", function()
  local test, consul, agents

  local function leader()
    return agents[consul:leader()]
  end

  local function problem(text, agent)
    return loop.wait_for("status says " .. text, 20000, function()
      local asked = agent or leader()
      for _, told in ipairs(asked and asked:json("status").problems or {}) do
        if told.text:find(text, 1, true) then return told.text end
      end
    end)
  end

  local function any_follower()
    for name, agent in pairs(agents) do
      if name ~= consul:leader() and consul:get("topology/" .. name) ~= "[]" then return agent end
    end
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    agents = {}
    for _, name in ipairs{"alpha", "beta", "gamma"} do
      agents[name] = test:join(name, consul, {config = {Placement = {node_grace_seconds = 600}}})
    end
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 3})
    test:wait_for_sleepers("web", 3)
  end)

  teardown(function() test:close() end)

  it("leaves what a vanished node has where it is, and nothing moves when it returns", function()
    local before, lost = test:placements(consul, "web"), any_follower()
    lost:stop("sigkill")
    loop.wait_for("its assignment says that it is gone", 40000, function()
      return (consul:document("assignment/" .. lost.node) or {}).gone_since
    end)
    problem(('node "%s" is gone'):format(lost.node))
    local since = consul:document("assignment/" .. lost.node).gone_since
    local asked = leader()
    local function until_time(text) return os.time{year = text:sub(1, 4), month = text:sub(6, 7), day = text:sub(9, 10),
      hour = text:sub(12, 13), min = text:sub(15, 16), sec = text:sub(18, 19)} end
    local told = asked:cli("tasks").stdout
    local node, shown = told:match('task "web": slot %d on node (%S+), which is gone since [%d: -]+; it stays there until ([%d: -]+)')
    assert.same({lost.node, since + 600}, {node, until_time(shown)}, told)
    assert.truthy(asked:cli("nodes").stdout:find("gone, grace until " .. shown, 1, true))
    assert.truthy(asked:cli("explain", "web").stdout:find("on node " .. lost.node .. ", which is gone since", 1, true))
    assert.same(before, test:placements(consul, "web"))
    lost:start():wait_joined()
    loop.wait_for("its assignment says so no more", 20000, function()
      return not consul:document("assignment/" .. lost.node).gone_since
    end)
    assert.same(before, test:placements(consul, "web"))
    assert.equal(3, #test:sleepers("web"))
  end)

  it("gives up at once what a node has that leaves on purpose", function()
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 3, max_per_node = 3})
    local lost = any_follower()
    assert.equal(0, lost:cli("leave").code)
    loop.wait_for("its agent has ended", 20000, function() return not lost.process:is_running() end)
    test:wait_for_sleepers("web", 3, 20000)
    loop.wait_for("nothing is left of it", 20000, function()
      return not consul:entry("assignment/" .. lost.node) and not consul:entry("live/" .. lost.node)
    end)
    lost:start():wait_joined()
  end)

  it("holds back stops that nobody can have meant, until somebody confirms them", function()
    consul:put("task/big", {content = {command = test:sleeper("big")}, replication = 9, max_per_node = 9})
    test:wait_for_sleepers("big", 9, 20000)
    consul:delete("task/big")
    local text = problem("9 of 12 replicas would be stopped at once (9 of big)")
    assert.equal(9, #test:sleepers("big"))
    local id = text:match("%-%-confirm ([%w-]+)")
    local plan = agents.alpha:json("plan")
    assert.same({{id = id, subjects = {big = "removed"}}}, plan.confirm)
    assert.same({}, plan.nodes)
    assert.equal(1, agents.alpha:cli("plan", "--confirm", "stop-00000000").code)
    assert.equal(0, agents.beta:cli("plan", "--confirm", id).code)
    test:wait_for_sleepers("big", 0, 20000)
    assert.equal(3, #test:sleepers("web"))
  end)

  it("stops at once what a command says is meant", function()
    consul:put("task/big", {content = {command = test:sleeper("big")}, replication = 9, max_per_node = 9})
    test:wait_for_sleepers("big", 9, 20000)
    assert.equal(0, agents.beta:cli("task", "scale", "big", "1").code)
    test:wait_for_sleepers("big", 1, 20000)
    assert.equal(0, agents.beta:cli("task", "rm", "big").code)
    test:wait_for_sleepers("big", 0, 20000)
  end)

  it("plans what documents would change, with an index that is refused when the world moved on", function()
    local document = '{"content":{"name":"new","command":"sleep 1000"},"replication":2}'
    -- What is not there any more stands in the assignments until its node has said so.
    loop.wait_for("nothing else is to be done", 20000, function() return agents.alpha:json("plan").way.steps == 0 end)
    local result = agents.alpha:cli("plan", "-", "--json", {stdin = document})
    assert.equal(0, result.code, result.stderr)
    local plan = require("dkjson").decode(result.stdout)
    assert.same({"new"}, {plan.tasks[1].name})
    assert.equal(2, #plan.tasks[1].steps)
    assert.same({1, true, 2}, {plan.way.steps, plan.way.is_whole, #plan.way.tasks[1].steps})
    assert.is_nil(consul:entry("task/new"))
    consul:put("task/other", {content = {command = "true"}, replication = 0})
    local refused = agents.alpha:cli("task", "apply", "-", "--check-index", tostring(plan.index), {stdin = document})
    assert.equal(1, refused.code)
    assert.truthy(refused.stderr:find("make a new plan", 1, true), refused.stderr)
    assert.is_nil(consul:entry("task/new"))
    local index = agents.alpha:json("plan").index
    assert.equal(0, agents.alpha:cli("task", "apply", "-", "--check-index", tostring(index), {stdin = document}).code)
    assert.equal(0, agents.alpha:cli("task", "rm", "new").code)
    assert.truthy(agents.alpha:cli("plan").stdout:find("index: %d+"))
  end)

  it("explains why a node has a task or not, and prints a snapshot of it all", function()
    local answer = agents.alpha:json("explain", "web")
    assert.equal(3, #answer.nodes)
    local total = 0
    for _, row in ipairs(answer.nodes) do total = total + row.replicas end
    assert.equal(3, total)
    assert.truthy(agents.beta:cli("explain", "web", "alpha").stdout:find("alpha"))
    assert.equal(1, agents.beta:cli("explain", "none").code)
    local snapshot = require("dkjson").decode(agents.alpha:cli("snapshot").stdout)
    assert.equal(1, snapshot.snapshot)
    assert.equal("task", snapshot.feeds[1].topic)
    assert.equal("spread", snapshot.policy.name)
  end)

  it("moves nothing of most of its nodes until somebody says that they are gone", function()
    local kept = leader()
    for name, agent in pairs(agents) do
      if name ~= kept.node then agent:destroy() end
    end
    local text = problem("2 of 3 nodes vanished at about the same time", kept)
    assert.is_true(#test:sleepers("web") < 3)
    assert.equal(0, kept:cli("plan", "--confirm", text:match("%-%-confirm ([%w-]+)")).code)
    problem("is gone: its", kept)
  end)
end)
