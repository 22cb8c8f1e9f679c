local Client = require("appmgr.consul.client")
local Cluster = require("appmgr.node.cluster")
local core = require("spec.support.core")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_state = require("spec.support.fake_state")
local fake_timer = require("spec.support.fake_timer")
local Problems = require("appmgr.problems")

local json = core.json

describe("the cluster id", function()
  local timer, consul, log

  before_each(function()
    timer, log = fake_timer.new(), fake_log.new()
    consul = fake_consul.new(timer)
  end)

  local function agent(name, known)
    local self = { adopted = {}, settled = 0, session_id = "session-" .. name }
    consul.store.sessions[self.session_id] = {}
    self.state = fake_state.new({ cluster = known })
    self.problems = Problems.new({ log = log, now = function() return 0 end })
    self.cluster = Cluster.new({
      client = Client.new({
        http = consul.http, log = log, codec = core.codec, json = json, config = {}, environment = function() end,
      }),
      timer = timer, random = function() return 0 end, log = log, problems = self.problems, json = json,
      codec = { uuid = function() return "fresh" end }, state = self.state,
      session = { id = function() return self.session_id end }, node = name, fallback_ms = 5000,
      on_adopted = function(id) self.adopted[#self.adopted + 1] = id end,
      on_settled = function() self.settled = self.settled + 1 end,
    })
    return self
  end

  local function meta(cluster, accepted)
    return json.encode({ schema = 1, cluster = cluster, accepted = accepted })
  end

  local function run(who, method, ...)
    local result
    local arguments = table.pack(...)
    arguments[arguments.n + 1] = function(...) result = { ... } end
    who.cluster[method](who.cluster, table.unpack(arguments, 1, arguments.n + 1))
    timer.advance(50)
    return result[1], result[2]
  end

  for name, case in pairs({
    ["unknown when nobody knows one"] = { nil, nil, "unknown" },
    ["adopted by who knows none"] = { nil, meta("c1"), "adopted", "c1" },
    ["ok when it is the same"] = { "c1", meta("c1"), "ok", "c1" },
    ["adopted when it accepts ours"] = { "c1", meta("c2", { "c0", "c1" }), "adopted", "c2" },
    ["a mismatch when it is another"] = { "c1", meta("c2", { "c0" }), "mismatch", "c1" },
    ["a mismatch when it is missing"] = { "c1", nil, "mismatch", "c1" },
    ["a mismatch when it is no JSON"] = { "c1", "{", "mismatch", "c1" },
    ["a mismatch when it is empty"] = { "c1", "", "mismatch", "c1" },
    ["a mismatch when it has no id"] = { nil, "{}", "mismatch" },
    ["a mismatch when its schema is unknown"] = { "c1", '{"schema":2,"cluster":"c1"}', "mismatch", "c1" },
  }) do
    it("is " .. name, function()
      local a = agent("a", case[1])
      assert.equal(case[3], a.cluster:check(case[2]))
      assert.equal(case[4], a.cluster:id())
      assert.equal(case[3] == "mismatch" and 1 or 0, #a.problems:list())
      assert.equal(case[3] == "adopted" and 1 or 0, #a.adopted)
    end)
  end

  it("is read when the session is held, until there is an answer", function()
    consul.down = true
    consul.put("appmgr/meta", meta("c1"))
    local a = agent("a")
    a.cluster:session_held()
    timer.advance(20000)
    assert.equal(1, #a.problems:list())
    consul.down = false
    timer.advance(6000)
    assert.equal("c1", a.cluster:id())
    assert.same({}, a.problems:list())
    local sent = #consul.http.requests
    timer.advance(600000)
    assert.equal(sent, #consul.http.requests)
  end)

  describe("in doubt", function()
    local a

    before_each(function()
      a = agent("a", "c1")
      a.state:save_assignment({ { task = "web", slot = 0, version = "v1", since = 4 } },
        { ["web/v1"] = { name = "web", command = "sleep 1" } })
      a.cluster:session_held()
      timer.advance(10)
    end)

    it("has what is remembered published, held by the session", function()
      local document = json.decode(consul.value("appmgr/memory/a"))
      assert.equal("session-a", consul.holder("appmgr/memory/a"))
      assert.same({ "a", "c1", "web" }, { document.node, document.cluster, document.replicas[1].task })
      assert.truthy(a.problems:list()[1].text:find("appmgr cluster accept", 1, true))
    end)

    it("is told once, published once", function()
      for _ = 1, 5 do a.cluster:check(nil) end
      timer.advance(100)
      assert.equal(1, log.count("appmgr cluster accept"))
      assert.equal(1, consul.requests("acquire"))
    end)

    it("is published again by another session", function()
      consul.expire("session-a")
      a.cluster:session_lost("gone")
      a.session_id = "session-a2"
      consul.store.sessions["session-a2"] = {}
      a.cluster:session_held()
      timer.advance(10)
      assert.equal("session-a2", consul.holder("appmgr/memory/a"))
    end)

    it("is over when meta stands again; the memory is withdrawn", function()
      consul.put("appmgr/meta", meta("c1"))
      timer.advance(10)
      assert.equal(1, a.settled)
      assert.is_nil(consul.value("appmgr/memory/a"))
      assert.same({}, a.problems:list())
      local sent = #consul.http.requests
      timer.advance(100000)
      assert.equal(sent, #consul.http.requests)
    end)

    it("stays when meta cannot be read", function()
      a.cluster:take({ status = 200, body = "[{" })
      assert.equal(0, a.settled)
      assert.equal("c1", a.cluster:id())
    end)

    it("publishes later when Consul refuses at first", function()
      consul.expire("session-a")
      a.cluster:session_lost("gone")
      consul.store:write("appmgr/memory/a", "x", "other")
      a.session_id = "session-a2"
      consul.store.sessions["session-a2"] = {}
      a.cluster:session_held()
      timer.advance(100)
      assert.equal("other", consul.holder("appmgr/memory/a"))
      consul.expire("other")
      timer.advance(5000)
      assert.equal("session-a2", consul.holder("appmgr/memory/a"))
    end)

    it("ends in silence", function()
      a.cluster:stop()
      local sent = #consul.http.requests
      timer.advance(100000)
      assert.equal(sent, #consul.http.requests)
    end)
  end)

  describe("accepted", function()
    it("of an empty store is a new one, which all agents adopt", function()
      local a, b = agent("a", "c1"), agent("b", "c1")
      a.cluster:session_held()
      b.cluster:session_held()
      timer.advance(10)
      local result = run(a, "accept")
      assert.same({ cluster = "fresh", before = "c1" }, result)
      assert.same({ schema = 1, cluster = "fresh", accepted = { "c1" } }, json.decode(consul.value("appmgr/meta")))
      assert.same({ "fresh", "fresh" }, { a.cluster:id(), b.cluster:id() })
      assert.same({ 1, 1 }, { a.settled, b.settled })
    end)

    it("of another store keeps its id and whom it accepted before", function()
      consul.put("appmgr/meta", meta("c2", { "c0" }))
      local a = agent("a", "c1")
      a.cluster:session_held()
      timer.advance(10)
      assert.equal("c2", run(a, "accept").cluster)
      assert.same({ "c0", "c1" }, json.decode(consul.value("appmgr/meta")).accepted)
    end)

    it("before anybody noticed is acted on as well: what a planner knows of the old store counts for nothing", function()
      consul.put("appmgr/meta", meta("c2"))
      local a = agent("a", "c1")
      assert.equal("c2", run(a, "accept").cluster)
      timer.advance(10)
      assert.equal(1, a.settled)
      assert.same({ "c2" }, a.adopted)
    end)

    it("of a broken meta writes a new one", function()
      consul.put("appmgr/meta", "{broken")
      local a = agent("a", "c1")
      assert.equal("fresh", run(a, "accept").cluster)
    end)

    it("of the right store changes nothing", function()
      consul.put("appmgr/meta", meta("c1"))
      local a = agent("a", "c1")
      assert.same({ cluster = "c1", before = "c1" }, run(a, "accept"))
      assert.equal(meta("c1"), consul.value("appmgr/meta"))
    end)

    it("fails when Consul is away, or meta changes meanwhile", function()
      local a = agent("a", "c1")
      consul.down = true
      local result, err = run(a, "accept")
      assert.is_nil(result)
      assert.equal("transport", err.kind)
      consul.down = false
      a.cluster:accept(function(...) result, err = ... end)
      timer.advance(1)
      consul.put("appmgr/meta", meta("c3"))
      timer.advance(10)
      assert.is_nil(result)
      assert.truthy(err.message:find("try again", 1, true))
    end)
  end)

  describe("restored", function()
    local a, b

    before_each(function()
      a, b = agent("a", "c1"), agent("b", "c1")
      a.state:save_assignment({ { task = "web", slot = 0, version = "v1", since = 4 } },
        { ["web/v1"] = { name = "web", command = "sleep 1" } })
      b.state:save_assignment({ { task = "web", slot = 1, version = "v1", since = 4 } }, {})
      a.cluster:session_held()
      b.cluster:session_held()
      timer.advance(10)
    end)

    it("brings tasks, versions, assignments and meta back", function()
      local plan = run(a, "restore_plan")
      assert.same({ "a", "b" }, { plan.hosts[1].node, plan.hosts[2].node })
      plan = json.decode(json.encode(plan))
      local result = run(a, "restore", plan)
      assert.same({ cluster = "c1", hosts = 2, tasks = 1 }, result)
      assert.equal('{"replicas":[{"since":4,"slot":1,"task":"web","version":"v1"}]}', consul.value("appmgr/assignment/b"))
      assert.equal('["web"]', consul.value("appmgr/topology/a"))
      assert.same({ content = { name = "web", command = "sleep 1" }, replication = 2 },
        json.decode(consul.value("appmgr/task/web")))
      assert.truthy(consul.value("appmgr/version/web/v1"))
      assert.equal("", consul.value("appmgr/task/"))
      assert.same({ schema = 1, cluster = "c1" }, json.decode(consul.value("appmgr/meta")))
      timer.advance(50)
      assert.same({ 1, 1 }, { a.settled, b.settled })
      assert.is_nil(consul.value("appmgr/memory/b"))
    end)

    it("is refused when the store changed since the plan, and can be planned again", function()
      local plan = run(a, "restore_plan")
      consul.put("appmgr/task/web", "{}")
      local result, err = run(a, "restore", plan)
      assert.is_nil(result)
      assert.truthy(err.message:find("task/web", 1, true), err.message)
      assert.is_nil(consul.value("appmgr/meta"))
      assert.truthy(run(a, "restore", (run(a, "restore_plan"))))
      assert.equal("{}", consul.value("appmgr/task/web"))
    end)

    it("leaves out a memory that cannot be read", function()
      consul.put("appmgr/memory/b", "{")
      assert.equal(1, #run(a, "restore_plan").hosts)
    end)

    for name, bad in pairs({ ["no plan"] = { cluster = "c1" }, ["a number"] = 5,
      ["another cluster's"] = { cluster = "c2", meta_index = 0, hosts = {}, tasks = {}, versions = {} } }) do
      it("is refused with " .. name, function()
        local result, err = run(a, "restore", bad)
        assert.is_nil(result)
        assert.truthy(err.message)
      end)
    end

    it("is refused when there is no doubt", function()
      consul.put("appmgr/meta", meta("c1"))
      timer.advance(10)
      local result, err = run(a, "restore_plan")
      assert.is_nil(result)
      assert.truthy(err.message:find("nothing to restore", 1, true))
    end)

    it("looks itself when nobody has noticed yet that the store was wiped", function()
      consul.put("appmgr/meta", meta("c1"))
      timer.advance(10)
      assert.equal(0, #a.problems:list())
      consul.delete("appmgr/meta")
      local plan = run(a, "restore_plan")
      assert.equal("c1", plan.cluster)
      assert.equal(1, #a.problems:list())
    end)

    it("fails when Consul is away", function()
      local plan = run(a, "restore_plan")
      consul.down = true
      assert.is_nil((run(a, "restore_plan")))
      assert.is_nil((run(a, "restore", plan)))
    end)
  end)
end)
