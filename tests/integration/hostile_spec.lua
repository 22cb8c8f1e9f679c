--- A Consul that errs, lies, cuts and hangs: no answer of any kind stops an application.
-- A proxy stands between the agent and the real Consul and tells the lies.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

describe("a Consul that answers", function()
  local test, consul, proxy, alpha, pids

  local function running()
    return {test:sleepers("web"), test:sleepers("own")}
  end

  local function expect_calm(why, duration_ms)
    loop.hold("everything runs on: " .. why, duration_ms or 1500, function()
      local now = running()
      return #now[1] == 1 and now[1][1] == pids[1][1] and #now[2] == 1 and now[2][1] == pids[2][1]
    end)
    assert.truthy(alpha.process:is_running(), alpha:log():sub(-2000))
  end

  -- Back to the truth: a change made now arrives.
  local function expect_recovery()
    proxy:be_honest()
    alpha:wait_joined(30000)
    loop.wait_for("alpha leads", 30000, function()
      local entry = consul:entry("leader")
      return entry and entry.session
    end)
    consul:put("task/probe", {content = {command = test:sleeper("probe")}, replication = 1})
    test:wait_for_sleepers("probe", 1, 20000)
    consul:delete("task/probe")
    test:wait_for_sleepers("probe", 0, 20000)
    assert.same(pids, running())
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    proxy = test:start_proxy(consul)
    alpha = test:join("alpha", consul, {
      -- A long TTL: what is tried here are lies about keys, not the loss of the session.
      consul_settings = {url = proxy.url, session_TTL = 60, topology_interval = 1},
      config = {Applications = {{name = "own", command = test:sleeper("own")}}},
    })
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1)
    test:wait_for_sleepers("own", 1)
    pids = running()
  end)

  teardown(function() test:close() end)

  local LIES = "error500 forbidden not_found moved html empty200 empty_list false200 half garbage cut"
  for lie in LIES:gmatch("%S+") do
    it(lie .. " to every read stops nothing", function()
      local rule = proxy:lie("^GET /v1/kv/", lie)
      proxy:lie('^PUT /v1/txn', lie)
      proxy:cut_all()
      loop.wait_for("the lie is told", 10000, function() return rule.told >= 2 end)
      expect_calm(lie)
      expect_recovery()
    end)
  end

  it("each of them is told, and the log stays short", function()
    local before = #alpha:log()
    local rule = proxy:lie(".", "error500")
    proxy:cut_all()
    loop.wait_for("status tells it", 15000, function()
      return #alpha:json("status").problems > 0
    end)
    loop.wait_for("many requests were refused", 20000, function() return rule.told >= 8 end)
    local said = alpha:log():sub(before + 1)
    assert.is_true(select(2, said:gsub("\n", "")) <= 20, said)
    expect_recovery()
  end)

  it("nothing at all, for as long as one waits", function()
    proxy:lie("^GET /v1/kv/", "hang")
    proxy:cut_all()
    expect_calm("hanging reads", 4000)
    assert.equal(0, alpha:cli("status").code)
    proxy:be_honest()
    proxy:cut_all()
    expect_recovery()
  end)

  it("with an index that goes backwards is read again and followed", function()
    local told = 0
    proxy:lie("^GET /v1/kv/appmgr/[^?]*.*index=", function(client)
      told = told + 1
      client:say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Consul-Index: 1\r\nContent-Length: 2\r\n\r\n[]")
    end, {times = 6})
    proxy:cut_all()
    loop.wait_for("resets were told", 15000, function() return told >= 3 end)
    expect_calm("index resets")
    expect_recovery()
  end)

  it("reads without an index header is not asked in a busy loop", function()
    proxy:reset_counts()
    proxy:lie("^GET /v1/kv/", function(client)
      client:say("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    end)
    proxy:cut_all()
    local since_ms = loop.now_ms()
    expect_calm("no index", 3000)
    -- About 45 a second are allowed for; a loop makes a thousand and more. A busy machine looks longer than three seconds.
    local rate = proxy.requests * 1000 / (loop.now_ms() - since_ms)
    assert.is_true(rate < 100, ("%d requests, %.0f a second"):format(proxy.requests, rate))
    expect_recovery()
  end)

  it("\"false\" with 200 to an acquire has not made a leader", function()
    local beta_proxy = test:start_proxy(consul)
    beta_proxy:lie("^PUT /v1/kv/appmgr/leader%?.*acquire", "false200")
    local beta = test:agent("beta", {consul = consul, consul_settings = {url = beta_proxy.url}}):start():wait_joined()
    alpha:cli("leave")
    alpha.process:wait(20000)
    local asked = beta_proxy.requests
    loop.wait_for("beta asked for the leadership and more", 15000, function() return beta_proxy.requests > asked + 3 end)
    loop.hold("nobody leads", 1500, function()
      local entry = consul:entry("leader")
      return not (entry and entry.session)
    end)
    assert.is_false(beta:json("status").cluster.is_leader)
    beta_proxy:be_honest()
    loop.wait_for("beta leads", 30000, function() return consul:leader() == "beta" end)
    test:wait_for_sleepers("web", 1, 15000)
  end)

  it("its long polls with cut connections only: news come, and no wait between tries is longer than topology_interval", function()
    local third = test:start_proxy(consul)
    local polls = third:lie("[?&]wait=", "cut")
    local gamma = test:agent("gamma", {consul = consul, consul_settings = {url = third.url, topology_interval = 1}}):start()
    gamma:wait_joined()
    loop.wait_for("polls are cut", 10000, function() return polls.told > 3 end)
    consul:put("task/each", {content = {command = test:sleeper("each")}, replication = "all"})
    test:wait_for_sleepers("each", 2, 20000)
    consul:delete("task/each")
    test:wait_for_sleepers("each", 0, 20000)
    assert.is_table(json.decode(consul:get("live/gamma")))
    polls.drop()
    -- Twelve tries, one second apart at the most, take 10 s; with waits that double up to 15 s they
    -- would take a minute.
    local reads, since_ms = third:lie("^GET /v1/kv/appmgr/assignment/gamma", "error500"), loop.now_ms()
    third:cut_all()
    loop.wait_for("topology_interval is the longest wait between two tries", 25000, function()
      return reads.told >= 12, reads.told
    end)
    assert.is_true(loop.now_ms() - since_ms < 45000)
  end)

  it("nothing to a node that leaves: it goes all the same, and says what stays behind", function()
    local fourth = test:start_proxy(consul)
    local delta = test:join("delta", consul, {
      consul_settings = {url = fourth.url}, config = {Applications = {{name = "last", command = test:sleeper("last")}}},
    })
    test:wait_for_sleepers("last", 1)
    fourth:lie(".", "hang")
    fourth:cut_all()
    local result = delta:cli("leave", {timeout_ms = 10000})
    assert.equal(0, result.code)
    assert.truthy(result.stderr:find("the keys it holds could not be removed", 1, true), result.stderr)
    assert.truthy(result.stderr:find('the catalog node "appmgr-delta"', 1, true), result.stderr)
    delta.process:wait(5000)
    assert.same({}, test:sleepers("last"))
    loop.wait_for("its keeper is gone", 5000, function() return not delta:keeper_pid() end)
  end)
end)
