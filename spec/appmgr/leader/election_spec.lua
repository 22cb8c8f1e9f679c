local Client = require("appmgr.consul.client")
local core = require("spec.support.core")
local Election = require("appmgr.leader.election")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")
local Problems = require("appmgr.problems")
local support = require("spec.support.consul")

local LEADER = "appmgr/leader"

describe("an election", function()
  local timer, consul, log

  before_each(function()
    timer, log = fake_timer.new(), fake_log.new()
    consul = fake_consul.new(timer)
  end)

  --- A candidate with a session whose lease the spec sets.
  local function candidate(name, options)
    options = options or {}
    local self = { name = name, terms = {}, deposed = {}, checks = 0, lease_ms = timer.now_ms() + 1e6 }
    self.session_id = options.session_id or (name:rep(8)):sub(1, 8) .. "-0000-4000-8000-000000000000"
    consul.store.sessions[self.session_id] = {}
    self.problems = Problems.new({ log = log, now = function() return 0 end })
    self.client = Client.new({
      http = options.http or consul.http, log = log, codec = core.codec, json = core.json, config = {},
      environment = function() end,
    })
    self.election = Election.new({
      client = self.client, timer = timer, random = options.random or function() return 0.5 end, log = log,
      problems = self.problems, json = core.json, node = name, fallback_ms = 5000,
      session = {
        id = function() return self.session_id end, lease_until_ms = function() return self.lease_ms end,
        check = function() self.checks = self.checks + 1 end,
      },
      on_elected = function(term) self.terms[#self.terms + 1] = term end,
      on_deposed = function(reason) self.deposed[#self.deposed + 1] = reason end,
    })
    self.election:start()
    return self
  end

  local function lose_session(who)
    local id = who.session_id
    who.session_id = nil
    consul.expire(id)
    who.election:session_lost("gone")
  end

  local function take_elsewhere()
    consul.store.sessions.other = {}
    consul.store:write(LEADER, '"omega"', "other")
    consul.store:wake()
  end

  it("is won when nobody leads", function()
    local a = candidate("a")
    timer.advance(100)
    assert.same({ 1 }, a.terms)
    assert.equal('"a"', consul.value(LEADER))
    assert.is_true(a.election:is_leading())
    assert.is_true(a.election:is_leading(1))
    assert.is_false(a.election:is_leading(2))
    assert.equal("a", a.election:leader())
  end)

  it("is won by exactly one of two at once", function()
    local a, b = candidate("a"), candidate("b")
    timer.advance(3000)
    assert.equal(1, #a.terms + #b.terms)
    assert.equal(a.election:leader(), b.election:leader())
    assert.equal(consul.value(LEADER), core.json.encode(a.election:leader()))
  end)

  it("waits for a session", function()
    local a = candidate("a")
    local id = a.session_id
    a.session_id = nil
    timer.advance(3000)
    assert.same({}, a.terms)
    a.session_id = id
    a.election:session_held(id)
    timer.advance(100)
    assert.same({ 1 }, a.terms)
  end)

  it("is won at once by the session that holds the key since before a restart", function()
    local id = "aaaaaaaa-0000-4000-8000-000000000000"
    consul.store.sessions[id] = {}
    consul.store:write(LEADER, '"a"', id)
    local a = candidate("a", { session_id = id })
    timer.advance(10)
    assert.same({ 1 }, a.terms)
  end)

  it("hands over within 100 ms of a release, the name left in the key", function()
    local a = candidate("a")
    timer.advance(100)
    local b = candidate("b")
    timer.advance(5000)
    assert.equal("a", b.election:leader())
    local done
    a.election:resign(function(result) done = result end)
    assert.same({ "resigned" }, a.deposed)
    assert.is_false(a.election:is_leading())
    timer.advance(1)
    assert.is_true(done)
    assert.equal('"a"', consul.value(LEADER))
    timer.advance(20)
    assert.same({ 1 }, b.terms)
  end)

  it("never tries again after it resigned", function()
    local a = candidate("a")
    timer.advance(100)
    a.election:resign(function() end)
    timer.advance(60000)
    a.election:session_held(a.session_id)
    a.election:session_lost("x")
    a.election:session_held(a.session_id)
    timer.advance(60000)
    assert.same({ 1 }, a.terms)
    assert.is_nil(consul.holder(LEADER))
  end)

  it("is given back by one who withdraws, and tried for again when that is over", function()
    local a, b = candidate("a"), candidate("b")
    timer.advance(3000)
    local first, second = a, b
    if b.election:is_leading() then first, second = b, a end
    first.election:withdraw("another has the name")
    assert.same({ "another has the name" }, first.deposed)
    timer.advance(100)
    assert.is_true(second.election:is_leading())
    assert.equal(second.name, first.election:leader())
    lose_session(second)
    timer.advance(10000)
    assert.is_nil(first.election:leader())
    first.election:session_held()
    timer.advance(3000)
    assert.same({ 1, 2 }, first.terms)
    first.election:resign(function() end)
    first.election:withdraw("late")
    first.election:session_held()
    timer.advance(3000)
    assert.same({ 1, 2 }, first.terms)
  end)

  it("waits a random time that grows with the number of nodes after a crash", function()
    for i = 1, 100 do consul.put("appmgr/live/n" .. i, "{}") end
    take_elsewhere()
    local a = candidate("a")
    timer.advance(1000)
    consul.expire("other")
    timer.advance(990)
    assert.same({}, a.terms)
    timer.advance(30)
    assert.same({ 1 }, a.terms)
  end)

  it("looks again after the wait and leaves the key to who was faster", function()
    for i = 1, 100 do consul.put("appmgr/live/n" .. i, "{}") end
    local a = candidate("a")
    timer.advance(500)
    take_elsewhere()
    timer.advance(5000)
    assert.same({}, a.terms)
    assert.equal(0, consul.requests("acquire"))
    assert.equal("omega", a.election:leader())
  end)

  it("tries each second through a lock-delay, which wakes nobody", function()
    local refused = 0
    local put = consul.store.put
    consul.store.put = function(self, key, value, query)
      if query.acquire and refused < 3 then
        refused = refused + 1
        return false
      end
      return put(self, key, value, query)
    end
    local a = candidate("a")
    timer.advance(2000)
    assert.same({}, a.terms)
    timer.advance(3000)
    assert.same({ 1 }, a.terms)
  end)

  describe("for a leader", function()
    local a

    before_each(function()
      a = candidate("a")
      timer.advance(100)
      assert.is_true(a.election:is_leading())
    end)

    it("ends with its session", function()
      lose_session(a)
      assert.same({ "gone" }, a.deposed)
      assert.is_false(a.election:is_leading())
      a.session_id = "aaaaaaab-0000-4000-8000-000000000000"
      consul.store.sessions[a.session_id] = {}
      a.election:session_held(a.session_id)
      timer.advance(3000)
      assert.same({ 1, 2 }, a.terms)
    end)

    it("ends by its own clock when renewals fail", function()
      a.lease_ms = timer.now_ms() + 30000
      consul.down = true
      timer.advance(1e6 + 100)
      assert.equal(1, #a.deposed)
      assert.is_false(a.election:is_leading())
      assert.equal(a.session_id, consul.holder(LEADER))
    end)

    it("goes on when the lease is extended in time", function()
      a.lease_ms = timer.now_ms() + 2e6
      timer.advance(1.5e6)
      assert.same({}, a.deposed)
    end)

    it("is over at the first question after a freeze", function()
      timer.jump(2e6)
      assert.is_false(a.election:is_leading())
      assert.equal(1, #a.deposed)
      timer.advance(5000)
      assert.equal(1, #a.terms)
      -- renewed: Consul still has the key under our session
      a.lease_ms = timer.now_ms() + 1e6
      timer.advance(2000)
      assert.same({ 1, 2 }, a.terms)
    end)

    it("ends when another session holds the key", function()
      take_elsewhere()
      timer.advance(10)
      assert.same({ "omega holds the key" }, a.deposed)
      assert.equal("omega", a.election:leader())
    end)

    it("ends when the key was deleted, and is tried for again", function()
      consul.delete(LEADER)
      timer.advance(1000)
      assert.equal(1, #a.deposed)
      assert.equal(1, a.checks)
      assert.same({ 1, 2 }, a.terms)
    end)

    it("is not shaken by an old answer of the watch", function()
      a.election:seen({ status = 404, body = "" })
      timer.advance(100)
      assert.same({}, a.deposed)
      assert.is_true(a.election:is_leading())
    end)

    it("is asked for again when a write was refused", function()
      consul.store.keys[LEADER].session = "other"
      a.election:doubt()
      timer.advance(10)
      assert.equal(1, #a.deposed)
    end)

    it("keeps asking while Consul does not answer the doubt", function()
      consul.down = true
      a.election:doubt()
      timer.advance(3000)
      assert.same({}, a.deposed)
      consul.store.keys[LEADER].session = "other"
      consul.down = false
      timer.advance(5000)
      assert.equal(1, #a.deposed)
    end)

    it("ends in silence when the agent stops", function()
      local sent = #consul.http.requests
      a.election:stop()
      timer.advance(1e6 * 3)
      assert.equal(sent, #consul.http.requests)
    end)

    it("is given back with an error when Consul is away", function()
      consul.down = true
      local done
      a.election:resign(function(result, err) done = { result, err } end)
      timer.advance(100)
      assert.is_nil(done[1])
      assert.equal("transport", done[2].kind)
    end)
  end)

  describe("hears lies", function()
    local http

    before_each(function()
      http = require("spec.support.fake_http").new()
    end)

    local function reply(text, status, body, index)
      http.only(text).reply(status, body, index and support.index(index) or {})
    end

    local function trying()
      local a = candidate("a", { http = http, random = function() return 0 end })
      reply("kv/appmgr/leader", 404, "", 3)
      reply("kv/appmgr/live", 404, "", 3)
      timer.advance(0)
      http.open("GET http://localhost:8500/v1/kv/appmgr/leader")[2].reply(404, "", support.index(3))
      return a
    end

    it("but wins with true and a line end", function()
      local a = trying()
      reply("acquire", 200, "true\n")
      assert.same({ 1 }, a.terms)
    end)

    for name, lie in pairs({
      ["200 with false"] = { 200, "false\n" }, ["500"] = { 500, "invalid session" }, ["403"] = { 403, "Permission denied" },
      ["301"] = { 301, "" }, ["a page"] = { 200, "<html>true</html>" }, ["an empty body"] = { 200, "" },
      ["half a word"] = { 200, "tru" }, ["true with more"] = { 200, "true false" },
    }) do
      it("and does not win by " .. name, function()
        local a = trying()
        reply("acquire", lie[1], lie[2])
        assert.same({}, a.terms)
        assert.is_false(a.election:is_leading())
      end)
    end

    it("and has the session looked at when Consul does not know it", function()
      local a = trying()
      reply("acquire", 500, 'invalid session "x"')
      assert.equal(1, a.checks)
      assert.same({}, a.problems:list())
    end)

    it("and says no more that the key cannot be taken once it has it", function()
      local a = trying()
      reply("acquire", 500, "No cluster leader")
      assert.equal(1, #a.problems:list())
      timer.advance(1000)
      reply("kv/appmgr/live", 404, "", 3)
      timer.advance(0)
      http.open("GET http://localhost:8500/v1/kv/appmgr/leader")[2].reply(404, "", support.index(3))
      reply("acquire", 200, "true")
      assert.same({ 1 }, a.terms)
      assert.same({}, a.problems:list())
    end)

    it("and says no more that the key cannot be taken once another has it", function()
      local a = trying()
      reply("acquire", 500, "No cluster leader")
      assert.equal(1, #a.problems:list())
      reply("leader", 200, support.listing({ { key = LEADER, value = '"omega"', session = "other", index = 4 } }), 4)
      assert.equal("omega", a.election:leader())
      timer.advance(5000)
      assert.same({}, a.problems:list())
    end)

    it("and does not win by an answer that comes after the session was lost", function()
      local a = trying()
      local late = http.only("acquire")
      late.cancel = function() end
      a.session_id = nil
      a.election:session_lost("gone")
      late.reply(200, "true")
      assert.same({}, a.terms)
    end)

    it("and does not lead with a lease that ended while it tried", function()
      local a = trying()
      a.lease_ms = timer.now_ms()
      reply("acquire", 200, "true")
      assert.same({}, a.terms)
    end)

    it("and releases what it may have won when it resigns while trying", function()
      local a = trying()
      local done
      a.election:resign(function(result) done = result end)
      reply("release", 200, "false")
      assert.is_true(done)
    end)

    it("and tells once that the key holds no listing", function()
      local a = candidate("a", { http = http })
      reply("leader", 200, '[{"Key":"appmgr/leader","Value":"*"}]', 4)
      assert.equal(1, #a.problems:list())
      assert.is_nil(a.election:leader())
      reply("leader", 200, support.listing({ { key = LEADER, value = "{broken", session = "s", index = 5 } }), 5)
      assert.equal(0, #a.problems:list())
      assert.is_nil(a.election:leader())
    end)

    it("and tells once that the key cannot be followed", function()
      local a = candidate("a", { http = http })
      for _ = 1, 4 do
        reply("leader", 403, "Permission denied")
        timer.advance(5000)
      end
      assert.equal(1, log.count("cannot be followed"))
      reply("leader", 404, "", 1)
      assert.equal(0, #a.problems:list())
    end)
  end)
end)
