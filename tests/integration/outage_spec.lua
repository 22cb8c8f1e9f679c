--- Outages longer than a session: Consul is away and comes back with all it had, and Consul is there
-- but nobody reaches it, so that all sessions end. Both are waited for at once.
-- Beside it: a client agent that is restarted between the agents and their server.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

local EXPIRY_MS = 2 * 10000

local function lines_about(log, text)
  return select(2, log:gsub(text, ""))
end

-- A cluster of three behind two proxies, that of the first node and that of the two others.
local Islands = {}
Islands.__index = Islands

function Islands.start(test)
  local self = setmetatable({test = test, consul = test:start_consul{name = "islands"}}, Islands)
  self.first, self.rest = test:start_proxy(self.consul), test:start_proxy(self.consul)
  self.alpha = test:join("alpha", self.consul, {consul_settings = {url = self.first.url}})
  -- Never the leader: it is the first node's patience that is tried.
  for _, node in ipairs{"beta", "gamma"} do
    test:join(node, self.consul, {consul_settings = {url = self.rest.url, candidate = false}})
  end
  self.consul:put("task/island", {content = {command = test:sleeper("island")}, replication = 2, max_per_node = 2})
  self.pids = test:wait_for_sleepers("island", 2)
  self.placements = test:placements(self.consul, "island")
  return self
end

function Islands:cut_off()
  for _, proxy in ipairs{self.first, self.rest} do
    proxy:lie(".", "cut")
    proxy:cut_all()
  end
end

describe("Consul as a server with a client agent beside each node", function()
  local test, server, client, alpha, beta, gamma, pids, placements, islands

  local function running()
    return {test:sleepers("web"), test:sleepers("own")}
  end

  local function session_of(node)
    local entry = server:entry("live/" .. node)
    return entry and entry.session
  end

  setup(function()
    test = harness.open()
    server = test:start_consul{kind = "server", name = "server"}
    client = test:start_consul{kind = "client", name = "client", join = server}
    alpha = test:join("alpha", client, {config = {Applications = {{name = "own", command = test:sleeper("own")}}}})
    beta = test:join("beta", client)
    -- Two replicas on three nodes: there is a place to move to.
    gamma = test:join("gamma", client)
    server:put("task/web", {content = {command = test:sleeper("web")}, replication = 2})
    test:wait_for_sleepers("web", 2)
    test:wait_for_sleepers("own", 1)
    pids, placements = running(), test:placements(server, "web")
    islands = Islands.start(test)
  end)

  teardown(function() test:close() end)

  it("may have its client restarted: sessions, leader and assignments stay", function()
    local before = {session_of("alpha"), session_of("beta"), server:leader(),
      server:entry("assignment/alpha").modify_index, server:entry("assignment/beta").modify_index}
    for _, signal in ipairs{"sigterm", "sigkill"} do
      client:stop(signal)
      loop.pass(3000)
      client:start_again()
    end
    loop.hold("sessions stay", 4000, function() return session_of("alpha") == before[1] and session_of("beta") == before[2] end)
    assert.same(before, {session_of("alpha"), session_of("beta"), server:leader(),
      server:entry("assignment/alpha").modify_index, server:entry("assignment/beta").modify_index})
    assert.same(pids, running())
  end)

  it("may be away for longer than the TTL: nothing stops, and the log stays short", function()
    local sizes = {#alpha:log(), #beta:log()}
    server:stop("sigkill")
    islands:cut_off()
    loop.hold("everything runs on", EXPIRY_MS + 5000, function()
      return #test:sleepers("web") == 2 and #test:sleepers("own") == 1 and #test:sleepers("island") == 2
    end)
    for i, agent in ipairs{alpha, beta} do
      local said = agent:log():sub(sizes[i] + 1)
      assert.is_true(lines_about(said, "\n") >= 1, "the outage is told")
      assert.is_true(lines_about(said, "\n") <= 30, said)
    end
    local out = alpha:cli("status").stdout
    assert.truthy(out:lower():find("consul", 1, true), out)
    server:start_again()
    alpha:wait_joined(40000)
    beta:wait_joined(40000)
    gamma:wait_joined(40000)
    loop.wait_for("somebody leads again", 40000, function()
      local entry = server:entry("leader")
      return entry and entry.session
    end)
    test:expect_decision(server, 40000)
    assert.same(placements, test:placements(server, "web"))
    assert.same(pids, running())
  end)

  it("works as before afterwards", function()
    server:put("task/after", {content = {command = test:sleeper("after")}, replication = "all"})
    test:wait_for_sleepers("after", 3, 20000)
    assert.same(placements, test:placements(server, "web"))
    assert.same(pids, running())
    loop.wait_for("no problem is left", 15000, function()
      local problems = alpha:json("status").problems
      return #problems == 0, problems[1] and problems[1].text
    end)
  end)

  it("may be out of everybody's reach until all sessions have ended: who comes back first waits for the others", function()
    local consul = islands.consul
    loop.wait_for("all sessions have ended", 2 * EXPIRY_MS, function()
      local live = consul:keys("live/")
      return #live == 0, live[1]
    end)
    islands.first:be_honest()
    -- To see this it must have looked at the assignments of nodes that are not there, and decided to wait.
    loop.wait_for("the first one leads, and says that it waits", 20000, function()
      local problems = json.encode(islands.alpha:json("status").problems)
      return problems:find("not back after an outage", 1, true), problems
    end)
    assert.equal("alpha", consul:leader())
    assert.same(islands.placements, test:placements(consul, "island"))
    islands.rest:be_honest()
    loop.wait_for("all are there", 20000, function() return #consul:keys("live/") == 3 end)
    test:expect_decision(consul, 30000)
    assert.same(islands.placements, test:placements(consul, "island"))
    assert.same(islands.pids, test:sleepers("island"))
  end)
end)
