--- Sessions, membership, election, leader and planner together, on a small Consul.

local Client = require("appmgr.consul.client")
local Cluster = require("appmgr.node.cluster")
local core = require("spec.support.core")
local desk_planner = require("spec.support.desk_planner")
local Election = require("appmgr.leader.election")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_state = require("spec.support.fake_state")
local fake_timer = require("spec.support.fake_timer")
local Leader = require("appmgr.leader.leader")
local Membership = require("appmgr.node.membership")
local Problems = require("appmgr.problems")
local Session = require("appmgr.node.session")

local json = core.json

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local POLICY = { name = "spread", source = read("policies/spread.lua") }
local WEB = '{"content":{"name":"web","command":"sleep 1000"},"replication":%d}'
local TWICE = '{"content":{"name":"web","command":"sleep 1000"},"replication":%d,"max_per_node":2}'

describe("agents on one store", function()
  local timer, consul, planner, uuids

  before_each(function()
    timer, uuids = fake_timer.new(), 0
    consul, planner = fake_consul.new(timer), desk_planner.new(timer)
  end)

  local function codec()
    return { sha256 = core.codec.sha256, uuid = function()
      uuids = uuids + 1
      return ("cluster-%d"):format(uuids)
    end }
  end

  local function agent(name)
    local self = { name = name, log = fake_log.new(), state = fake_state.new() }
    self.problems = Problems.new({ log = self.log, now = function() return 0 end })
    self.client = Client.new({
      http = consul.http, log = self.log, codec = core.codec, json = json, config = {}, environment = function() end,
    })
    local shared = {
      client = self.client, timer = timer, random = function() return 0.5 end, log = self.log,
      problems = self.problems, json = json, codec = codec(), state = self.state, node = name, fallback_ms = 5000,
      config = {}, host = { machine_id = function() return "m" end, boot_id = function() return "b" end,
        hostname = function() return name end },
    }
    local function with(fields) return setmetatable(fields, { __index = shared }) end
    self.session = Session.new(with({
      on_held = function(id)
        self.cluster:session_held(id)
        self.membership:session_held(id)
        self.election:session_held()
      end,
      on_lost = function(reason)
        self.election:session_lost(reason)
        self.membership:session_lost()
        self.cluster:session_lost()
      end,
    }))
    self.cluster = Cluster.new(with({
      session = self.session,
      on_adopted = function(id) self.membership:update({ cluster = id }) end,
      on_settled = function() self.leader:start_over() end,
    }))
    self.membership = Membership.new(with({
      fields = { version = "1", labels = {}, capacity = { cpu = 1000, memory_mb = 100 }, candidate = true },
      on_joined = function()
        if not self.is_candidate then self.election:start() end
        self.is_candidate = true
      end,
      doubt_session = function() self.session:check() end,
    }))
    self.leader = Leader.new(with({
      now = function() return 100 + timer.now_ms() // 1000 end, planner = planner, policy = function() return POLICY end,
      session = self.session, cluster = self.cluster,
      may_write = function(term) return self.election:is_leading(term) end,
      on_refused = function() self.election:doubt() end,
      remember_tasks = function(body) self.state:save_tasks(body) end,
    }))
    self.election = Election.new(with({
      session = self.session, on_elected = function(term) self.leader:start(term) end,
      on_deposed = function() self.leader:stop() end,
    }))
    self.session:start()
    return self
  end

  local function replicas(host)
    local text = consul.value("appmgr/assignment/" .. host)
    return text and json.decode(text).replicas
  end

  local function count(hosts)
    local total = 0
    for _, host in ipairs(hosts) do total = total + #(replicas(host) or {}) end
    return total
  end

  it("found a cluster, and every live host gets its keys", function()
    agent("alpha")
    timer.advance(500)
    assert.same({ cluster = "cluster-1", schema = 1 }, json.decode(consul.value("appmgr/meta")))
    assert.equal("", consul.value("appmgr/task/"))
    assert.same({}, replicas("alpha"))
    assert.equal("[]", consul.value("appmgr/topology/alpha"))
    assert.equal("cluster-1", json.decode(consul.value("appmgr/live/alpha")).cluster)
  end)

  it("place a task within a few round trips", function()
    agent("alpha")
    timer.advance(2000)
    consul.put("appmgr/task/web", WEB:format(1))
    timer.advance(6)
    assert.equal(1, #replicas("alpha"))
    assert.equal('["web"]', consul.value("appmgr/topology/alpha"))
  end)

  it("hand over when the leader resigns; nothing moves", function()
    local a = agent("alpha")
    timer.advance(500)
    local b = agent("beta")
    timer.advance(500)
    consul.put("appmgr/task/web", WEB:format(2))
    timer.advance(500)
    assert.equal(2, count({ "alpha", "beta" }))
    local before = consul.value("appmgr/assignment/alpha") .. consul.value("appmgr/assignment/beta")
    a.election:resign(function() end)
    timer.advance(2000)
    assert.is_true(b.election:is_leading())
    assert.equal(1, planner.live)
    assert.equal(before, consul.value("appmgr/assignment/alpha") .. consul.value("appmgr/assignment/beta"))
    assert.is_nil(b.leader:status().last_decision.frozen)
  end)

  it("move what ran on a node that is gone, and remove its keys", function()
    local a = agent("alpha")
    timer.advance(500)
    local b = agent("beta")
    timer.advance(500)
    consul.put("appmgr/task/web", WEB:format(1))
    timer.advance(500)
    local lost = #replicas("alpha") == 1 and a or b
    local kept = lost == a and b or a
    consul.store:end_session(lost.session:id())
    lost.session:stop()
    lost.election:stop()
    lost.leader:stop()
    lost.membership:stop()
    consul.store:wake()
    timer.advance(5000)
    assert.equal(1, #replicas(kept.name))
    assert.same({}, replicas(lost.name))
    assert.is_nil(consul.value("appmgr/topology/" .. lost.name))
    -- That it is gone is remembered for a TTL.
    timer.advance(31000)
    assert.is_nil(replicas(lost.name))
  end)

  it("repair a foreign change within a minute", function()
    agent("alpha")
    timer.advance(500)
    consul.put("appmgr/task/web", WEB:format(1))
    timer.advance(500)
    local before = consul.value("appmgr/assignment/alpha")
    consul.put("appmgr/topology/alpha", "[]")
    timer.advance(60000)
    assert.equal('["web"]', consul.value("appmgr/topology/alpha"))
    assert.equal(before, consul.value("appmgr/assignment/alpha"))
  end)

  --- Keeps the next batch for a host back.
  -- @treturn function that hands it to Consul after all, and gives the status of the answer that nobody waits for
  -- @treturn function that loses its answer
  local function hold_next_batch(host)
    local respond, held = consul.http.respond, nil
    consul.http.respond = function(request)
      if held or not (request.body or ""):find("appmgr/assignment/" .. host, 1, true) then return respond(request) end
      held = request
    end
    return function()
      local status
      assert(held, "no batch was sent")
      consul.store:serve({
        method = held.method, url = held.url, body = held.body, reply = function(code) status = code end,
      })
      return status
    end, function() held.fail("timeout") end
  end

  describe("place a slot once, when a batch is written late", function()
    local a, deliver_late, lose_answer

    local function prefer(this, other)
      consul.put("appmgr/node/" .. this, '{"eligible":true}')
      consul.put("appmgr/node/" .. other, '{"eligible":false}')
    end

    before_each(function()
      a = agent("alpha")
      timer.advance(500)
      agent("beta")
      timer.advance(500)
      prefer("alpha", "beta")
      consul.put("appmgr/task/web", TWICE:format(1))
      timer.advance(500)
      assert.equal(1, count({ "alpha" }))
      prefer("beta", "alpha")
      timer.advance(500)
      deliver_late, lose_answer = hold_next_batch("beta")
      consul.put("appmgr/task/web", TWICE:format(2))
      timer.advance(10)
      assert.equal("committing", a.leader:status().stage)
      prefer("alpha", "beta")
    end)

    after_each(function()
      timer.advance(2000)
      assert.same({ 2, 0 }, { count({ "alpha" }), count({ "beta" }) })
      assert.equal(409, deliver_late())
      assert.same({ 2, 0 }, { count({ "alpha" }), count({ "beta" }) })
      assert.same({}, a.problems:list())
    end)

    it("whose answer was lost", function() lose_answer() end)

    it("by a planner that was ended since", function() a.leader:start_over() end)

    it("in a term that is over, of a leader that is so again by the same session", function()
      a.leader:stop()
      a.leader:start(a.election.term)
    end)
  end)

  describe("change nothing from a term that is over, with a batch that was under way all the time", function()
    local a, deliver_late

    before_each(function()
      a = agent("alpha")
      timer.advance(500)
      consul.put("appmgr/task/web", TWICE:format(1))
      timer.advance(500)
      -- The version is there already: nothing but the assignment is written.
      deliver_late = hold_next_batch("alpha")
      consul.put("appmgr/task/web", TWICE:format(2))
      timer.advance(10)
      assert.equal("committing", a.leader:status().stage)
      assert.equal(1, #replicas("alpha"))
    end)

    it("when its session is lost", function()
      consul.store:end_session(a.session:id())
      timer.jump(100000)
      assert.is_false(a.election:is_leading())
      assert.equal(409, deliver_late())
      assert.equal(1, #replicas("alpha"))
    end)

    it("when its session holds the key again, after somebody else had it", function()
      local session = a.session:id()
      local b = agent("beta")
      timer.advance(500)
      a.election:withdraw("for a while")
      timer.advance(2000)
      assert.is_true(b.election:is_leading())
      assert.equal(2, count({ "alpha", "beta" }))
      consul.delete("appmgr/task/web")
      timer.advance(500)
      assert.is_true(replicas("alpha")[1].leaving)
      b.election:resign(function() end)
      a.election:session_held()
      timer.advance(2000)
      assert.same({ true, session }, { a.election:is_leading(), consul.holder("appmgr/leader") })
      assert.equal(409, deliver_late())
      assert.is_true(replicas("alpha")[1].leaving)
    end)
  end)

  describe("whose store was wiped", function()
    local a, assigned

    before_each(function()
      a = agent("alpha")
      timer.advance(500)
      consul.put("appmgr/task/web", WEB:format(1))
      timer.advance(500)
      assigned = replicas("alpha")
      a.state:save_assignment(assigned,
        { ["web/" .. assigned[1].version] = { name = "web", command = "sleep 1000" } })
      for key in pairs(consul.store.keys) do consul.store:remove(key) end
      consul.store.sessions = {}
      consul.store:wake()
      timer.advance(20000)
    end)

    it("freeze everything and say so", function()
      assert.is_true(a.election:is_leading())
      assert.is_nil(consul.value("appmgr/meta"))
      assert.is_nil(replicas("alpha"))
      assert.truthy(a.leader:status().last_decision.frozen)
      assert.truthy(consul.value("appmgr/memory/alpha"))
      assert.truthy(a.state:load_tasks())
    end)

    it("follow the store once it is accepted", function()
      a.cluster:accept(function() end)
      timer.advance(5000)
      assert.same({}, replicas("alpha"))
      assert.is_nil(a.leader:status().last_decision.frozen)
      assert.is_nil(consul.value("appmgr/memory/alpha"))
    end)

    it("have everything back once it is restored; nothing moves", function()
      local restored
      a.cluster:restore_plan(function(plan) a.cluster:restore(plan, function(result) restored = result end) end)
      timer.advance(100)
      assert.equal(1, restored.tasks)
      timer.advance(60000)
      assert.same(assigned, replicas("alpha"))
      assert.equal(WEB:format(1), consul.value("appmgr/task/web"))
      assert.is_nil(a.leader:status().last_decision.frozen)
      assert.same({}, a.problems:list())
    end)
  end)

  it("send few requests when idle", function()
    local a, b = agent("alpha"), agent("beta")
    timer.advance(60000)
    local leads = a.election:is_leading() and a or b
    assert.is_true(leads.election:is_leading())
    local before = #consul.http.requests
    timer.advance(600000)
    local per_minute = (#consul.http.requests - before) / 10
    -- The leader's 30, and a candidate's 16 + 2.4 for following the leader; reports (6) and the poll of the
    -- assignment (2.4) of each are not running here.
    local allowed = (30 - 8.4) + (16 + 2.4 - 8.4)
    assert.is_true(per_minute <= allowed, per_minute .. " a minute")
  end)
end)
