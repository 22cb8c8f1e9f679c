--- The Consul session of an agent: what it is like, and what it outlives.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local EXPIRY_MS = 2 * 10000

-- How many requests a minute an idle node may send at the default settings, and how many timers and long polls
-- send them: that many more may fall into a window, whenever it begins.
local BUDGETS = {leader = {per_minute = 30, rhythms = 10}, observer = {per_minute = 16, rhythms = 4}}
local BUDGET_WINDOW_MS = 30000
-- Nothing is asked more often than the session is renewed; one more at each end of the window.
local SHORTEST_RHYTHM_MS = 10000

-- An idle cluster at the default settings, each node behind a proxy that counts.
-- @treturn {[node]=table,...} proxy, counts (by request), since_ms
local function count_idle_requests(test)
  local consul, nodes = test:start_consul{name = "idle"}, {}
  for _, node in ipairs{"leader", "observer"} do
    local proxy, counts = test:start_proxy(consul), {}
    test:join(node, consul, {config = {Consul = {url = proxy.url, candidate = node == "leader"}}})
    proxy.on_request = function(request)
      local what = request.method .. " " .. request.target:gsub("index=%d+", "")
      counts[what] = (counts[what] or 0) + 1
    end
    nodes[node] = {proxy = proxy, counts = counts}
  end
  -- Both know what they have to do: from here on nothing happens.
  loop.wait_for("both have an assignment and have told it", 15000, function()
    for node in pairs(nodes) do
      if not consul:get("assignment/" .. node) or not consul:get("status/" .. node .. "/applications") then
        return false, node
      end
    end
    return true
  end)
  return nodes
end

-- Begins to count; what was asked until then belongs to the beginning of a cluster.
local function begin_counting(nodes)
  for _, node in pairs(nodes) do
    node.proxy:reset_counts()
    for what in pairs(node.counts) do
      node.counts[what] = nil
    end
    node.since_ms = loop.now_ms()
  end
end

describe("the session of an agent", function()
  local test, consul, alpha, started_ms, idle

  local function session_of(node)
    local entry = consul:entry("live/" .. node)
    return entry and entry.session
  end

  setup(function()
    test = harness.open()
    idle = count_idle_requests(test)
    consul = test:start_consul()
    alpha = test:join("alpha", consul, {config = {
      Applications = {{name = "local", command = test:sleeper("local")}},
    }})
    started_ms = loop.now_ms()
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1)
    test:wait_for_sleepers("local", 1)
    begin_counting(idle)
  end)

  teardown(function() test:close() end)

  it("has a TTL, deletes its keys, and stands on a catalog node of its own", function()
    local session = consul:session(session_of("alpha"))
    assert.equal("10s", session.TTL)
    assert.equal("delete", session.Behavior)
    assert.equal(0, session.LockDelay)
    assert.equal("appmgr-alpha", session.Node)
    assert.equal(0, #session.NodeChecks)
  end)

  it("holds the status keys and the leader key of its agent", function()
    loop.wait_for("all keys are held", 10000, function()
      local session = session_of("alpha")
      for _, key in ipairs{"status/alpha/resource", "status/alpha/applications", "leader"} do
        local entry = consul:entry(key)
        if not entry or entry.session ~= session then
          return false, key
        end
      end
      return true
    end)
  end)

  it("stands on session_node when that is given", function()
    local beta = test:join("beta", consul, {consul_settings = {session_node = consul.name}})
    assert.equal(consul.name, consul:session(session_of("beta")).Node)
    beta:cli("leave")
    beta:stop()
  end)

  local function expect_unnoticed_restart(signal)
    local session, web = session_of("alpha"), test:sleepers("web")[1]
    local index = consul:entry("assignment/alpha").modify_index
    alpha:stop(signal)
    alpha:start()
    loop.wait_for("the agent leads again", 15000, function() return consul:leader() == "alpha" end)
    alpha:wait_joined()
    assert.equal(session, session_of("alpha"))
    assert.same({web}, test:sleepers("web"))
    assert.equal(1, #test:sleepers("local"))
    assert.equal(index, consul:entry("assignment/alpha").modify_index)
  end

  it("is taken up again after a quick restart", function()
    expect_unnoticed_restart("sigterm")
  end)

  it("is taken up again after the agent was killed", function()
    expect_unnoticed_restart("sigkill")
  end)

  it("is made again when somebody destroys it, and no application notices", function()
    local session, pids = session_of("alpha"), {test:sleepers("web")[1], test:sleepers("local")[1]}
    consul:session_destroy(session)
    loop.wait_for("alpha is back with another session", 15000, function()
      local now = session_of("alpha")
      return now and now ~= session and consul:get("status/alpha/applications")
    end)
    assert.same(pids, {test:sleepers("web")[1], test:sleepers("local")[1]})
  end)

  it("is missed at once by a node that is no candidate, long before it would have renewed it", function()
    local beta = test:join("beta", consul, {consul_settings = {candidate = false, session_TTL = 60, report_interval = 60}})
    loop.wait_for("beta has an assignment", 5000, function() return consul:get("assignment/beta") end)
    -- Asking for what is not there wakes for every key of the store: let that settle.
    loop.pass(1500)
    local session = session_of("beta")
    consul:session_destroy(session)
    loop.wait_for("beta is back with another session", 3000, function()
      local now = session_of("beta")
      return now and now ~= session and consul:get("status/beta/applications")
    end)
    beta:cli("leave")
    beta:stop()
  end)

  it("is not used from a state directory that was copied from another machine", function()
    local session, path = session_of("alpha"), alpha.state_dir .. "/node.json"
    alpha:destroy()
    local state = assert(json.decode(process.slurp(path)))
    state.machine_id, state.session.machine_id = ("0"):rep(32), ("0"):rep(32)
    process.spit(path, json.encode(state))
    -- Of another boot, a keeper would take nothing from it; here the boot is the same.
    os.remove(alpha.state_dir .. "/keeper.records")
    alpha:start()
    -- The other machine's session still holds the name: ours runs what is its own, and waits.
    test:wait_for_sleepers("local", 1)
    loop.wait_for("status tells that the name is taken", 10000, function()
      local out = alpha:cli("status").stdout
      return out:find("live/alpha", 1, true) or out:find("name", 1, true), out
    end)
    loop.hold("the other machine keeps the name", 1500, function()
      return session_of("alpha") == session and #test:sleepers("web") == 0
    end)
    consul:session_destroy(session)
    loop.wait_for("alpha joins with a session of its own", 15000, function()
      return session_of("alpha") and session_of("alpha") ~= session
    end)
    test:wait_for_sleepers("web", 1)
  end)

  it("is made by way of the next of several urls when the first does not answer, and while it runs", function()
    local one, two = test:start_proxy(consul), test:start_proxy(consul)
    local node = test:agent("gamma", {consul = consul})
    node.config.Consul.url, node.config.Consul.urls = nil, {"http://127.0.0.1:1", one.url, two.url}
    node:configure()
    node:start():wait_joined()
    local session, used, other = session_of("gamma"), one, two
    if two.requests > one.requests then
      used, other = two, one
    end
    local before = other.requests
    used:close()
    consul:put("task/each", {content = {command = test:sleeper("each")}, replication = "all"})
    test:wait_for_sleepers("each", 2, 20000)
    assert.is_true(other.requests > before)
    assert.equal(session, session_of("gamma"))
    consul:delete("task/each")
    node:cli("leave")
    node.process:wait(20000)
  end)

  it("is made where CONSUL_HTTP_ADDR says, under the prefix that is configured", function()
    local address = consul.url:match("//(.*)")
    local node = test:agent("delta", {consul = consul, env = {CONSUL_HTTP_ADDR = address}, config = {
      Consul = {session_TTL = 10, prefix = "team/apps"},
    }})
    node:start()
    loop.wait_for("delta joins under its prefix", 15000, function()
      local response = consul:request("GET", "/v1/kv/team/apps/live/delta")
      return response and response.status == 200
    end)
    assert.is_nil(consul:entry("live/delta"))
    node:cli("leave")
    node.process:wait(20000)
    -- What is left is its farewell, held by no session.
    assert.is_nil(json.decode(consul:request("GET", "/v1/kv/team/apps/live/delta").body)[1].Session)
  end)

  it("is renewed: it lives longer than Consul lets an unattended one live", function()
    local session = session_of("alpha")
    loop.pass(math.max(0, started_ms + EXPIRY_MS + 3000 - loop.now_ms()))
    loop.hold("the session lives", 12000, function() return session_of("alpha") == session end)
  end)

  it("and all else that an idle node asks for stays within its budget", function()
    for role, budget in pairs(BUDGETS) do
      local node = idle[role]
      loop.pass(math.max(0, node.since_ms + BUDGET_WINDOW_MS - loop.now_ms()))
      local window_ms = loop.now_ms() - node.since_ms
      local shown = json.encode(node.counts)
      assert.is_true(node.proxy.requests > 0, role)
      assert.is_true(node.proxy.requests <= budget.per_minute * window_ms / 60000 + budget.rhythms,
        ("%s: %d in %.0f ms: %s"):format(role, node.proxy.requests, window_ms, shown))
      for what, count in pairs(node.counts) do
        assert.is_true(count <= window_ms / SHORTEST_RHYTHM_MS + 2, ("%s: %s: %d"):format(role, what, count))
      end
    end
  end)
end)
