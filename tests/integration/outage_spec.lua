--- Consul is away for longer than the TTL and comes back with all it had.
-- Beside it, in the same wait: a client agent that is restarted between the agents and that server.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

local EXPIRY_MS = 2 * 10000

local function lines_about(log, text)
  return select(2, log:gsub(text, ""))
end

describe("Consul as a server with a client agent beside each node", function()
  local test, server, client, alpha, beta, pids

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
    server:put("task/web", {content = {command = test:sleeper("web")}, replication = 2})
    test:wait_for_sleepers("web", 2)
    test:wait_for_sleepers("own", 1)
    pids = running()
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
    loop.hold("everything runs on", EXPIRY_MS + 5000, function()
      return #test:sleepers("web") == 2 and #test:sleepers("own") == 1
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
    loop.wait_for("somebody leads again", 40000, function()
      local entry = server:entry("leader")
      return entry and entry.session
    end)
    assert.same(pids, running())
  end)

  it("works as before afterwards", function()
    server:put("task/after", {content = {command = test:sleeper("after")}, replication = 2})
    test:wait_for_sleepers("after", 2, 20000)
    assert.same(pids, running())
    loop.wait_for("no problem is left", 15000, function()
      local problems = alpha:json("status").problems
      return #problems == 0, problems[1] and problems[1].text
    end)
  end)
end)
