local core = require("spec.support.core")
local fake_request = require("spec.support.fake_request")
local fake_timer = require("spec.support.fake_timer")
local handlers = require("appmgr.control.handlers")
local views = require("appmgr.control.views")

local function new_agent()
  local rows = {
    { name = "a", state = "running", env = { K = "(hidden)" } }, { name = "b", state = "running", health = 1 },
    { name = "c", state = "failed" },
  }
  return {
    node = "alpha", version = "0.1.0", pid = 7, started_ms = 1000, state_dir = "/s",
    config = {
      Description = "web tier", Consul = { prefix = "appmgr", token = "secret", session_TTL = 30 },
      Placement = { node_grace_seconds = 5 }, Policy = { name = "spread" },
    },
    policy_source = { policy = { name = "spread", source = "return {}" } },
    client = {},
    session = { id = function() return "s-1" end, lease_until_ms = function() return 20000 end },
    cluster = { id = function() return "c-1" end },
    election = { leader = function() return "alpha" end },
    apps = {
      is_known = function() return true end,
      is_taken_over = function() return true end,
      containment_level = function() return { level = "cgroup" } end,
      list = function() return rows end,
      row = function(_, name)
        for _, row in ipairs(rows) do
          if row.name == name then return row end
        end
      end,
    },
    problems = { list = function() return {} end },
    core = { runtime = { counters = function() return { longest_call_ms = 12, slow_calls = 1 } end } },
  }
end

describe("views", function()
  it("tell how a node is", function()
    assert.same({
      node = "alpha", description = "web tier", version = "0.1.0", pid = 7, uptime_seconds = 9, state_dir = "/s",
      policy = "spread", placement = { node_grace_seconds = 5, session_ttl = 30 },
      cluster = {
        node = "alpha", consul = true, prefix = "appmgr", id = "c-1", leader = "alpha", is_leader = true,
        session = { id = "s-1", lease_seconds = 10 },
      },
      containment = { level = "cgroup" }, loop = { longest_ms = 12, slow_turns = 1 },
      applications = { total = 3, states = { running = 2, failed = 1 }, unhealthy = 1 },
      problems = {},
    }, views.status(new_agent(), 10000))
  end)

  it("tell that a node is leaving", function()
    local agent = new_agent()
    agent.is_leaving = true
    assert.is_true(views.status(agent, 10000).leaving)
  end)

  it("tell of a node without Consul", function()
    local agent = new_agent()
    for _, name in ipairs({ "client", "session", "cluster", "election" }) do agent[name] = nil end
    agent.config = {}
    assert.same({ node = "alpha", consul = false, is_leader = false }, views.cluster(agent, 10000))
  end)

  it("never show a lease that is over as a negative time", function()
    assert.equal(0, views.cluster(new_agent(), 90000).session.lease_seconds)
  end)
end)

describe("handlers", function()
  local table_of = handlers.new({ codec = core.codec, sandbox = core.sandbox, timer = fake_timer.new(10000) })

  local function call(method, agent, params)
    local request = fake_request.new(params)
    table_of[method](agent, request)
    return request
  end

  it("know every method of the protocol", function()
    local names = {}
    for name in pairs(table_of) do names[#names + 1] = name end
    table.sort(names)
    assert.same({
      "app.add", "app.disable", "app.enable", "app.history", "app.list", "app.logs", "app.reload", "app.remove",
      "app.restart", "app.show", "cluster.accept", "cluster.restore", "consul.read", "keeper.upgrade",
      "leave", "node.set", "plan.confirm", "policy.choose", "policy.configured", "policy.put", "policy.remove", "repl.complete",
      "repl.eval", "status", "task.apply", "task.disable", "task.enable", "task.remove", "task.restart",
      "task.scale",
    }, names)
  end)

  it("answer what needs no Consul", function()
    assert.equal("alpha", call("status", new_agent()).result.node)
    assert.equal(3, #call("app.list", new_agent()).result)
    assert.equal("failed", call("app.show", new_agent(), { name = "c" }).result.state)
    assert.equal("not_found", call("app.show", new_agent(), { name = "d" }).code)
    assert.equal("not_found", call("app.show", new_agent(), {}).code)
    assert.equal("return {}", call("policy.configured", new_agent()).result.source)
  end)

  it("hand on how leaving went", function()
    local agent = new_agent()
    function agent.leave(_, callback) callback({ node = "alpha", stopped = 3 }) end
    assert.equal(3, call("leave", agent).result.stopped)
    function agent.leave(_, callback) callback(nil, "already ending") end
    assert.equal("already ending", call("leave", agent).message)
  end)
end)
