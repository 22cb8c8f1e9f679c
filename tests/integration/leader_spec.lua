--- One leader: elected, replaced, deposed, frozen and woken.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

-- Keeps the next transaction that changes assignments from reaching Consul, and only that.
local function hold_back(proxy)
  local held = {}
  proxy:lie("PUT /v1/txn", function(client, request, pass_on)
    if #held == 0 and request.body:find("appmgr/assignment/", 1, true) and request.body:find('"check-session"', 1, true) then
      held[1] = {client = client, pass_on = pass_on}
    else
      pass_on()
    end
  end)
  return held
end

-- Hands Consul what was held back, after its sender gave it up.
-- @treturn {number,...} what Consul answered
local function deliver(held)
  local answers = {}
  for i, late in ipairs(held) do
    loop.wait_for("the sender has given it up", 15000, function() return late.client:has_gone() end)
    late.pass_on(function(status) answers[i] = status end)
    loop.wait_for("Consul answers the late transaction", 10000, function() return answers[i] end)
  end
  return answers
end

describe("the leadership", function()
  local test, consul, agents

  local function leader_agent()
    local name = loop.wait_for("somebody leads", 15000, function() return consul:leader() end)
    return agents[name]
  end

  local function wait_for_other_leader(than, deadline_ms)
    loop.wait_for("another than " .. than.node .. " leads", deadline_ms or 10000, function()
      local name = consul:leader()
      return name and name ~= than.node
    end)
    return leader_agent()
  end

  local function assignments()
    local all = {}
    for node in pairs(agents) do
      local entry = consul:entry("assignment/" .. node)
      all[node] = entry and entry.modify_index
    end
    return all
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    agents = {}
  end)

  teardown(function() test:close() end)

  it("goes to exactly one of agents that start in the same millisecond", function()
    for _, node in ipairs{"alpha", "beta", "gamma"} do
      agents[node] = test:agent(node, {consul = consul})
    end
    for _, agent in pairs(agents) do
      agent:launch()
    end
    for _, agent in pairs(agents) do
      agent:wait_joined()
    end
    local leader = leader_agent()
    local entry = consul:entry("leader")
    assert.equal(('"%s"'):format(leader.node), entry.value)
    assert.equal(consul:entry("live/" .. leader.node).session, entry.session)
    for _, agent in pairs(agents) do
      local status = loop.wait_for(agent.node .. " knows the leader", 5000, function()
        local text = agent:cli("status").stdout
        return text:find(leader.node, 1, true) and text, text
      end)
      assert.is_string(status)
    end
  end)

  it("writes meta and the folder key of the tasks once, whoever came first", function()
    local meta = loop.wait_for("meta is there", 10000, function() return consul:document("meta") end)
    assert.equal(1, meta.schema)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", meta.cluster)
    loop.wait_for("the folder key is there", 10000, function() return consul:entry("task/") end)
    assert.equal("", consul:get("task/"))
  end)

  it("is handed over on SIGTERM, and neither that nor the restart moves anything", function()
    -- One node stays free of it: there is a place to move to.
    consul:put("task/calm", {content = {command = test:sleeper("calm")}, replication = 2})
    local pids = test:wait_for_sleepers("calm", 2)
    local old, before = leader_agent(), test:placements(consul, "calm")
    assert.equal(2, #before)
    old:stop("sigterm")
    wait_for_other_leader(old)
    test:expect_decision(consul)
    assert.same(before, test:placements(consul, "calm"))
    old:start():wait_joined()
    test:expect_decision(consul)
    assert.same(before, test:placements(consul, "calm"))
    assert.same(pids, test:sleepers("calm"))
  end)

  it("is taken anew when the leader's session is destroyed", function()
    local old = leader_agent()
    consul:session_destroy(consul:entry("leader").session)
    loop.wait_for("somebody leads with a living session", 15000, function()
      local entry = consul:entry("leader")
      return entry and entry.session and consul:session(entry.session)
    end)
    old:wait_joined()
    test:wait_for_sleepers("calm", 2)
  end)

  it("is fenced: a transaction of an earlier term that comes late changes nothing", function()
    consul:put("task/late", {content = {command = test:sleeper("late")}, replication = 3})
    test:wait_for_sleepers("late", 3)
    local proxy, others = test:start_proxy(consul), {"alpha", "beta", "gamma"}
    agents.delta = test:join("delta", consul, {consul_settings = {url = proxy.url}})
    -- Everybody else steps back, so that the one behind the proxy leads; who led is gone with its session.
    local gone = consul:leader()
    for _, node in ipairs(others) do
      agents[node]:stop("sigkill")
    end
    consul:session_destroy(consul:entry("leader").session)
    loop.wait_for("delta leads", 15000, function() return consul:leader() == "delta" end)
    loop.wait_for("delta has settled what its predecessor left", 15000, function()
      return not consul:entry("assignment/" .. gone) and consul:get("assignment/delta"):find("late", 1, true)
    end)
    local held = hold_back(proxy)
    -- No new version belongs to this change: nothing but the fence can refuse it.
    consul:delete("task/late")
    loop.wait_for("delta's transaction is on its way", 10000, function() return #held > 0 end)
    for _, node in ipairs(others) do
      agents[node]:start()
    end
    proxy:lie(".", "cut")
    proxy:cut_all()
    consul:session_destroy(consul:entry("leader").session)
    loop.wait_for("another leads", 15000, function()
      local name = consul:leader()
      return name and name ~= "delta"
    end)
    -- One that had lost its own session before waits a TTL for delta.
    loop.wait_for("the new leader has taken it out everywhere", 30000, function()
      for _, node in ipairs(others) do
        local text = consul:get("assignment/" .. node)
        if not text or text:find("late", 1, true) then
          return false, text
        end
      end
      return true
    end)
    loop.wait_for("delta's own part is given up", 30000, function()
      return not consul:entry("assignment/delta") and not consul:entry("topology/delta")
    end)
    local before = assignments()
    assert.same({409}, deliver(held))
    assert.same(before, assignments())
    assert.is_nil(consul:entry("topology/delta"))
    proxy:be_honest()
    agents.delta:wait_joined()
    agents.delta:cli("leave")
    agents.delta = nil
  end)

  it("is lost for good by a leader that was frozen past its session", function()
    local frozen = leader_agent()
    frozen.process:kill("sigstop")
    local new = wait_for_other_leader(frozen, 40000)
    consul:put("task/thaw", {content = {command = test:sleeper("thaw")}, replication = 2})
    test:wait_for_sleepers("thaw", 2, 15000)
    loop.wait_for("the frozen node's part is taken away", 10000, function()
      return not consul:entry("assignment/" .. frozen.node)
    end)
    local before = assignments()
    frozen.process:kill("sigcont")
    loop.wait_for("it is back with a session of its own", 20000, function()
      return consul:entry("live/" .. frozen.node)
    end)
    assert.equal(new.node, consul:leader())
    -- The new leader alone may have given the returned node a part again.
    for node, index in pairs(before) do
      assert.equal(index, consul:entry("assignment/" .. node).modify_index, node)
    end
    loop.wait_for("every slot runs once", 15000, function()
      return #test:sleepers("thaw") == 2 and #test:sleepers("calm") == 2
    end)
  end)

  it("never goes to an agent that is no candidate", function()
    local observer = test:join("observer", consul, {consul_settings = {candidate = false}})
    for _, agent in pairs(agents) do
      agent:stop("sigterm")
    end
    local entry = consul:entry("leader")
    if entry and entry.session then
      consul:session_destroy(entry.session)
    end
    loop.hold("nobody leads", 3000, function() return consul:leader() ~= "observer" end)
    assert.truthy(observer.process:is_running())
  end)
end)

describe("a leader that gives its lock back and takes it again", function()
  local test

  setup(function() test = harness.open() end)
  teardown(function() test:close() end)

  it("is fenced from its own earlier term: the session is the same, but what was decided from has changed", function()
    local consul = test:start_consul()
    local proxy = test:start_proxy(consul)
    local alpha = test:join("alpha", consul, {consul_settings = {url = proxy.url}})
    consul:put("task/late", {content = {command = test:sleeper("late")}, replication = 1})
    local late = test:wait_for_sleepers("late", 1)
    local session = consul:entry("leader").session
    local held = hold_back(proxy)
    consul:delete("task/late")
    loop.wait_for("the transaction of the first term is on its way", 10000, function() return #held > 0 end)
    consul:put("task/late", {content = {command = test:sleeper("late")}, replication = 1})
    consul:put("task/next", {content = {command = test:sleeper("next")}, replication = 1})
    assert.is_true(consul:put("leader", '"alpha"', "release=" .. session))
    alpha:wait_for_log("elected leader, term 2", 15000)
    local after = test:wait_for_sleepers("next", 1, 20000)
    local before = consul:entry("assignment/alpha")
    assert.equal(session, consul:entry("leader").session)
    assert.same({409}, deliver(held))
    local now = consul:entry("assignment/alpha")
    assert.equal(before.value, now.value)
    assert.equal(before.modify_index, now.modify_index)
    assert.same({late, after}, {test:sleepers("late"), test:sleepers("next")})
  end)
end)
