local Client = require("appmgr.consul.client")
local core = require("spec.support.core")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")
local Membership = require("appmgr.node.membership")
local Problems = require("appmgr.problems")

local KEY = "appmgr/live/alpha"

describe("membership", function()
  local timer, consul, log

  before_each(function()
    timer, log = fake_timer.new(), fake_log.new()
    consul = fake_consul.new(timer)
  end)

  local function agent(session_id)
    local self = { joined = 0, held = 0, holders = {}, doubts = 0, session_id = session_id }
    consul.store.sessions[session_id] = {}
    self.problems = Problems.new({ log = log, now = function() return 0 end })
    self.membership = Membership.new({
      client = Client.new({
        http = consul.http, log = log, codec = core.codec, json = core.json, config = {}, environment = function() end,
      }),
      timer = timer, random = function() return 0 end, log = log, problems = self.problems, json = core.json,
      node = "alpha", fallback_ms = 5000,
      fields = { hostname = "h1", incarnation = 3, cluster = "c", version = "0.1.0", labels = { zone = "a" }, candidate = true,
        capacity = { cpu = 2000, memory_mb = 512 }, local_applications = {} },
      on_joined = function() self.joined = self.joined + 1 end,
      on_held = function() self.held = self.held + 1 end,
      on_refused = function(holder) self.holders[#self.holders + 1] = holder end,
      doubt_session = function() self.doubts = self.doubts + 1 end,
    })
    return self
  end

  it("holds live/<host> with what placement needs", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    assert.not_equal("joined", a.membership.phase)
    timer.advance(2)
    assert.equal(1, a.joined)
    assert.equal("joined", a.membership.phase)
    assert.equal("s1", consul.holder(KEY))
    assert.same({ node = "alpha", hostname = "h1", incarnation = 3, cluster = "c", api = 1, version = "0.1.0", labels = { zone = "a" },
      capacity = { cpu = 2000, memory_mb = 512 }, candidate = true, local_applications = {} },
      core.json.decode(consul.value(KEY)))
    assert.truthy(consul.value(KEY):find('"local_applications":[]', 1, true))
  end)

  it("leaves out what is null, also when it was something before", function()
    local a = agent("s1")
    a.membership:update({ tasks = { enabled = false } })
    a.membership:session_held("s1")
    timer.advance(2)
    assert.same({ enabled = false }, core.json.decode(consul.value(KEY)).tasks)
    a.membership:update({ tasks = core.json.null })
    timer.advance(2)
    assert.is_nil(consul.value(KEY):find("tasks", 1, true))
  end)

  it("asks once a minute and repairs a key that was deleted", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    timer.advance(30000)
    consul.delete(KEY)
    timer.advance(31000)
    assert.equal("s1", consul.holder(KEY))
    assert.equal(2, #consul.http.requests)
    assert.equal(1, a.joined)
  end)

  it("repairs it at once when something says that it may be gone", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    a.membership:check()
    timer.advance(2)
    assert.equal(1, #consul.http.requests)
    consul.delete(KEY)
    a.membership:check()
    assert.equal(1, a.held)
    timer.advance(2)
    assert.equal("s1", consul.holder(KEY))
    assert.same({ 1, 2 }, { a.joined, a.held })
    a.membership:session_lost()
    a.membership:check()
    assert.equal(2, #consul.http.requests)
  end)

  it("writes a change at once, and nothing when nothing changed", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    a.membership:update({ labels = { zone = "a" } })
    timer.advance(2)
    assert.equal(1, #consul.http.requests)
    a.membership:update({ labels = { zone = "b" } })
    timer.advance(2)
    assert.equal("b", core.json.decode(consul.value(KEY)).labels.zone)
    assert.equal(1, a.joined)
  end)

  it("writes a change that came while it joined", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    a.membership:update({ cluster = "d" })
    timer.advance(4)
    assert.equal("d", core.json.decode(consul.value(KEY)).cluster)
    assert.equal(2, #consul.http.requests)
    assert.equal(1, a.joined)
  end)

  it("writes one change after the other", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    a.membership:update({ cluster = "d" })
    a.membership:update({ cluster = "e" })
    assert.equal(2, #consul.http.requests)
    timer.advance(4)
    assert.equal(3, #consul.http.requests)
    assert.equal("e", core.json.decode(consul.value(KEY)).cluster)
  end)

  it("says farewell after what it wrote last, whatever Consul makes of that", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    a.membership:update({ cluster = "d" })
    a.membership:stop()
    local is_said = false
    a.membership:say_farewell("s1", function() is_said = true end)
    assert.equal(2, #consul.http.requests)
    timer.advance(2)
    assert.equal(3, #consul.http.requests)
    timer.advance(2)
    assert.is_true(is_said)
    assert.is_nil(consul.holder(KEY))
    assert.same({ node = "alpha", left = true }, core.json.decode(consul.value(KEY)))
  end)

  it("does not wait for long with its farewell when Consul does not answer", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    consul.http.respond = nil
    a.membership:update({ cluster = "d" })
    a.membership:stop()
    local is_over = false
    a.membership:say_farewell("s1", function() is_over = true end)
    timer.advance(2000)
    assert.is_true(is_over)
    assert.equal(2, #consul.http.requests)
    assert.equal(0, timer.pending())
  end)

  it("says farewell with the session of the agent before, when it has not joined yet", function()
    consul.store.sessions.s0 = {}
    consul.store:write(KEY, "{}", "s0")
    local a = agent("s1")
    a.membership:stop()
    a.membership:say_farewell("s0", function() end)
    timer.advance(2)
    assert.is_true(core.json.decode(consul.value(KEY)).left)
    assert.is_nil(consul.holder(KEY))
  end)

  it("says no farewell in the name of another", function()
    consul.store.sessions.twin = {}
    consul.store:write(KEY, "{}", "twin")
    local a, is_over = agent("s1"), false
    a.membership:stop()
    a.membership:say_farewell("s1", function() is_over = true end)
    timer.advance(2)
    assert.is_true(is_over)
    assert.same({ "{}", "twin" }, { consul.value(KEY), consul.holder(KEY) })
  end)

  it("remembers a change made before it joined", function()
    local a = agent("s1")
    a.membership:update({ cluster = "d" })
    a.membership:session_held("s1")
    timer.advance(2)
    assert.equal("d", core.json.decode(consul.value(KEY)).cluster)
  end)

  describe("of a name that another holds", function()
    local a, b

    before_each(function()
      a, b = agent("s1"), agent("s2")
      a.membership:session_held("s1")
      timer.advance(2)
      b.membership:session_held("s2")
      timer.advance(10)
    end)

    it("is refused once, with the holder named", function()
      timer.advance(200000)
      assert.equal(1, #b.holders)
      assert.truthy(b.holders[1]:find("h1 (session s1, incarnation 3", 1, true))
      assert.truthy(b.problems:list()[1].text:find("--node", 1, true))
      assert.equal(0, b.joined)
      assert.equal(1, log.count("is held by"))
    end)

    it("is taken as soon as the name is free", function()
      consul.expire("s1")
      timer.advance(10)
      assert.equal(1, b.joined)
      assert.equal("s2", consul.holder(KEY))
      assert.same({}, b.problems:list())
    end)

    it("ends when the session is lost", function()
      b.membership:session_lost("gone")
      consul.expire("s1")
      timer.advance(5000)
      assert.equal(0, b.joined)
    end)

    it("is noticed by one who had joined", function()
      consul.store:write(KEY, "{}", "s2")
      timer.advance(60000)
      assert.equal(1, #a.holders)
      assert.not_equal("joined", a.membership.phase)
    end)
  end)

  it("tries each second through a lock-delay", function()
    local refused, put = 0, consul.store.put
    consul.store.put = function(self, key, value, query)
      if query.acquire and refused < 3 then
        refused = refused + 1
        return false
      end
      return put(self, key, value, query)
    end
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2500)
    assert.equal(0, a.joined)
    timer.advance(1000)
    assert.equal(1, a.joined)
    assert.same({}, a.holders)
  end)

  it("tries on while Consul is away, told once", function()
    consul.down = true
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(30000)
    assert.equal(1, log.count("cannot be held"))
    consul.down = false
    timer.advance(6000)
    assert.equal(1, a.joined)
    assert.same({}, a.problems:list())
  end)

  it("says that its session may be gone when Consul does not know it", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    consul.down = true
    a.membership:update({ cluster = "d" })
    timer.advance(2)
    assert.equal(0, a.doubts)
    consul.down = false
    consul.expire("s1")
    timer.advance(1000)
    assert.equal(1, a.doubts)
  end)

  it("stays joined when a check fails", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    consul.down = true
    timer.advance(70000)
    assert.equal("joined", a.membership.phase)
  end)

  it("drops an answer that comes after the session was lost", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    consul.http.requests[1].cancel = function() end
    a.membership:session_lost("gone")
    timer.advance(10)
    assert.equal(0, a.joined)
  end)

  it("stops without a word, and leaves the key to the session", function()
    local a = agent("s1")
    a.membership:session_held("s1")
    timer.advance(2)
    local asked = #consul.http.requests
    a.membership:stop()
    timer.advance(200000)
    assert.equal(asked, #consul.http.requests)
    assert.equal("s1", consul.holder(KEY))
  end)
end)
