--- A leader that gets another policy while it works: planners with real desks, on a small Consul.

local Client = require("appmgr.consul.client")
local core = require("spec.support.core")
local desk_planner = require("spec.support.desk_planner")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")
local Leader = require("appmgr.leader.leader")
local Problems = require("appmgr.problems")

local json = core.json
local SESSION = "aaaaaaaa-0000-4000-8000-000000000000"
local ONLY_BETA = [[return { api = 1, name = "only_beta",
  filter = function(_, node) return node.name == "beta", "not_beta" end, score = function() return 0 end }]]
local ANY = [[return { api = 1, name = "any", score = function() return 0 end }]]
local FAILS_FOR_WEB = [[return { api = 1, name = "bad",
  score = function(task) if task.name == "web" then error("not this one") end return 0 end }]]

describe("a leader whose policy changes", function()
  local timer, consul, planner, log, problems, leader, policy, policy_error, shadow

  before_each(function()
    timer, log = fake_timer.new(), fake_log.new()
    consul, planner = fake_consul.new(timer), desk_planner.new(timer)
    policy, policy_error, shadow = { name = "any", source = ANY }, nil, nil
    consul.store.sessions[SESSION] = {}
    consul.store:write("appmgr/leader", '"alpha"', SESSION)
    consul.put("appmgr/task/", "")
    consul.put("appmgr/task/web", '{"content":{"name":"web","command":"sleep 1000"},"replication":1}')
    for _, name in ipairs({ "alpha", "beta" }) do
      consul.store:write("appmgr/live/" .. name, json.encode({ node = name }), SESSION)
    end
    problems = Problems.new({ log = log, now = function() return 0 end })
    leader = Leader.new({
      client = Client.new({
        http = consul.http, log = log, codec = core.codec, json = json, config = {}, environment = function() end,
      }),
      timer = timer, random = function() return 0 end, log = log, problems = problems,
      codec = { sha256 = core.codec.sha256, uuid = function() return "new-uuid" end }, now = function() return 77 end,
      planner = planner, policy = function() return not policy_error and policy or nil, policy_error end,
      shadow = function() return shadow end, node = "alpha",
      cluster = { id = function() return nil end, verify = function() end },
      session = { id = function() return SESSION end, is_settling = function() return false end },
      fallback_ms = 5000, may_write = function() return true end,
    })
    leader:start(1)
    timer.advance(1000)
  end)

  local function text_of(key)
    for _, problem in ipairs(problems:list()) do
      if problem.key == key then return problem.text end
    end
  end

  local function replicas(host)
    return #json.decode(consul.value("appmgr/assignment/" .. host)).replicas
  end

  local function use(name, source)
    policy = { name = name, source = source }
    leader:reconfigure()
    timer.advance(1000)
  end

  local function logged(text)
    return table.concat(log.lines, "\n"):find(text, 1, true)
  end

  it("places with the first one", function()
    assert.equal("any", leader:status().policy.name)
    assert.equal(1, replicas("alpha"))
  end)

  it("tries the new one and places with it from then on; what may stay stays", function()
    use("only_beta", ONLY_BETA)
    assert.equal("only_beta", leader:status().policy.name)
    assert.truthy(logged('policy "only_beta" takes over'))
    assert.truthy(logged("placed from nothing, 1 of 1 replicas would be elsewhere"))
    consul.put("appmgr/task/one", '{"content":{"name":"one","command":"sleep 1000"},"replication":1}')
    timer.advance(1000)
    assert.same({ 1, 1 }, { replicas("alpha"), replicas("beta") })
    assert.equal(1, planner.live)
  end)

  it("logs what the new one would change at once", function()
    consul.put("appmgr/task/one", '{"content":{"name":"one","command":"sleep 1000"},"replication":2,"max_per_node":1}')
    policy = { name = "only_beta", source = ONLY_BETA }
    leader:start_over()
    consul.put("appmgr/task/two", '{"content":{"name":"two","command":"sleep 1000"},"replication":1}')
    leader:reconfigure()
    timer.advance(1000)
    assert.truthy(logged("two.0 → beta (new)"))
  end)

  for name, case in pairs({
    ["with a syntax error"] = { "return {{{", "bad" },
    ["that fails for a task, though nothing is to be placed"] = { FAILS_FOR_WEB, 'task "web": error: bad:2: not this one' },
  }) do
    it("keeps the one before when it gets one " .. name, function()
      use("bad", case[1])
      assert.equal("any", leader:status().policy.name)
      assert.truthy(text_of("policy/next"):find(case[2], 1, true), text_of("policy/next"))
      assert.truthy(text_of("policy/next"):find("the one before stays in use", 1, true))
      assert.equal(1, planner.live)
      use("any", ANY)
      assert.is_nil(text_of("policy/next"))
    end)
  end

  it("keeps the one before when the new one cannot be read", function()
    policy_error = "no such file"
    leader:reconfigure()
    assert.truthy(text_of("policy/next"):find("no such file; the one before stays in use", 1, true))
    assert.equal("any", leader:status().policy.name)
  end)

  it("keeps it for the next planner, too, and forgets what it tried when its term ends", function()
    use("bad", FAILS_FOR_WEB)
    leader:start_over()
    timer.advance(1000)
    assert.equal("any", leader:status().policy.name)
    leader:stop()
    assert.equal(0, planner.live)
    assert.same({}, problems:list())
  end)

  it("gives a trial up when yet another one comes", function()
    policy = { name = "bad", source = FAILS_FOR_WEB }
    leader:reconfigure()
    assert.equal("bad", leader:status().trying)
    use("only_beta", ONLY_BETA)
    assert.equal("only_beta", leader:status().policy.name)
    assert.is_nil(text_of("policy/next"))
    assert.equal(1, planner.live)
  end)

  it("counts how decisions ended, and shows for which task the policy failed", function()
    consul.put("appmgr/task/later", '{"content":{"name":"later","command":"sleep 1000"},"replication":1}')
    timer.advance(1000)
    local outcomes = leader:status().outcomes
    assert.is_true(outcomes.ok >= 2)
    assert.equal(0, outcomes.error)
    assert.same({}, leader:status().failures)
  end)

  describe("with a shadow", function()
    before_each(function()
      shadow = { name = "only_beta", source = ONLY_BETA }
      leader:reconfigure()
      timer.advance(1000)
    end)

    it("says how many replicas that would put elsewhere, without effect", function()
      local status = leader:status().shadow
      assert.same({ "only_beta", 1, 1 }, { status.policy, status.elsewhere, status.replicas })
      assert.is_nil(status.failure)
      assert.equal("any", leader:status().policy.name)
      assert.equal(1, replicas("alpha"))
      assert.equal(2, planner.live)
    end)

    it("compares again when what is assigned was read again, at most each 10 s", function()
      consul.put("appmgr/task/one", '{"content":{"name":"one","command":"sleep 1000"},"replication":1}')
      timer.advance(1000)
      leader:audit()
      timer.advance(1000)
      assert.equal(1, leader:status().shadow.replicas)
      timer.advance(10000)
      assert.equal(2, leader:status().shadow.replicas)
      assert.equal(2, leader:status().shadow.elsewhere)
    end)

    it("that fails for a task says for which, and how", function()
      shadow = { name = "bad", source = FAILS_FOR_WEB }
      leader:reconfigure()
      timer.advance(1000)
      assert.truthy(leader:status().shadow.failure:find('bad:2: not this one', 1, true), leader:status().shadow.failure)
    end)

    it("that is bad says so, and everything else goes on", function()
      shadow = { name = "bad", source = "return {{{" }
      leader:reconfigure()
      timer.advance(1000)
      assert.truthy(leader:status().shadow.error:find("bad", 1, true))
      assert.equal("idle", leader:status().stage)
    end)

    it("ends when it is configured no more", function()
      shadow = nil
      leader:reconfigure()
      timer.advance(1000)
      assert.is_nil(leader:status().shadow)
      assert.equal(1, planner.live)
    end)
  end)
end)
