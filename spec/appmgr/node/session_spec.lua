local fake_log = require("spec.support.fake_log")
local fake_state = require("spec.support.fake_state")
local fake_timer = require("spec.support.fake_timer")
local json = require("spec.support.core").json
local Problems = require("appmgr.problems")
local Session = require("appmgr.node.session")
local support = require("spec.support.consul")

local ID1 = "11111111-1111-4111-8111-111111111111"
local ID2 = "22222222-2222-4222-8222-222222222222"

describe("a session", function()
  local http, timer, state, log, problems, session, held, lost, boot_id

  local function make(config)
    local client
    client, http = support.client(config)
    session = Session.new({
      client = client, timer = timer, log = log, problems = problems, state = state, node = "alpha",
      random = function() return 0 end, config = config or { session_TTL = 30 },
      host = {
        machine_id = function() return "machine" end, boot_id = function() return boot_id end,
        hostname = function() return "box" end,
      },
      on_held = function(id) held[#held + 1] = id end,
      on_lost = function(reason) lost[#lost + 1] = reason end,
    })
    session:start()
  end

  before_each(function()
    timer, state, log, held, lost, boot_id = fake_timer.new(), fake_state.new(), fake_log.new(), {}, {}, "boot"
    problems = Problems.new({ log = log, now = function() return 0 end })
  end)

  local function path()
    return http.only().method .. " " .. http.only().url:match("/v1/(.*)$")
  end

  local function reply(status, body)
    http.only().reply(status, body)
  end

  local function reply_created(id)
    reply(200, json.encode({ ID = id }))
  end

  local function reply_renewed(id, ttl)
    reply(200, json.encode({ { ID = id, TTL = ttl or "30s" } }))
  end

  local function make_held(config)
    make(config)
    reply(200, "true")
    reply_created(ID1)
  end

  local function problem()
    local list = problems:list()
    return list[1] and list[1].text
  end

  describe("is made", function()
    it("on a catalog node of its own, without checks, deleting its keys", function()
      make()
      assert.equal("PUT catalog/register", path())
      assert.same({ Node = "appmgr-alpha", Address = "box",
        NodeMeta = { ["external-node"] = "true", ["external-probe"] = "false" } }, json.decode(http.only().body))
      reply(200, "true")
      assert.equal("PUT session/create", path())
      assert.same({ Name = "appmgr-alpha", Node = "appmgr-alpha", TTL = "30s", Behavior = "delete", LockDelay = "0s",
        NodeChecks = {} }, json.decode(http.only().body))
      assert.truthy(http.only().body:find('"NodeChecks":[]', 1, true))
      reply_created(ID1)
      assert.same({ ID1 }, held)
      assert.equal(ID1, session:id())
      assert.is_false(session:is_settling())
      assert.same({ id = ID1, node = "appmgr-alpha", machine_id = "machine", boot_id = "boot", made_at = 1600000000 },
        state:get("session"))
    end)

    it("on the node that is configured, with the lock delay that is configured", function()
      make({ session_node = "special", session_TTL = 15, lock_delay = "5s" })
      assert.equal("PUT session/create", path())
      local fields = json.decode(http.only().body)
      assert.same({ "special", "15s", "5s" }, { fields.Node, fields.TTL, fields.LockDelay })
    end)

    for _, step in ipairs({ "register", "create" }) do
      it("on the client's node when the token forbids to " .. step, function()
        make()
        if step == "create" then reply(200, "true") end
        reply(403, "Permission denied")
        assert.equal("PUT session/create", path())
        assert.is_nil(json.decode(http.only().body).Node)
        assert.is_nil(problem())
        reply_created(ID1)
        assert.equal(ID1, session:id())
        assert.truthy(problem():find(step == "create" and "session:write" or "node:write", 1, true))
      end)
    end

    it("after many failures, each kind told once", function()
      make()
      for _ = 1, 6 do
        http.only().fail("connect", "refused")
        timer.advance(5000)
      end
      assert.equal(1, log.count("no Consul session"))
      reply(200, "true")
      local lies = { { 500, "No cluster leader" }, { 200, "{}" }, { 200, "<html>" }, { 301, "" }, { 200, "" } }
      for _, lie in ipairs(lies) do
        reply(lie[1], lie[2])
        timer.advance(5000)
        reply(200, "true")
      end
      assert.is_nil(session:id())
      assert.equal(0, session:lease_until_ms())
      reply_created(ID1)
      assert.equal(ID1, session:id())
      assert.is_nil(problem())
    end)

    it("anew when everything is forbidden, with waits", function()
      make()
      reply(403, "Permission denied")
      reply(403, "Permission denied")
      assert.equal(0, #http.open())
      timer.advance(5000)
      assert.equal("PUT catalog/register", path())
    end)
  end)

  describe("is renewed", function()
    before_each(function() make_held() end)

    it("each third of its time, the lease counted from before the request", function()
      local start = timer.now_ms()
      assert.equal(start + 30000, session:lease_until_ms())
      timer.advance(10000)
      assert.equal("PUT session/renew/" .. ID1, path())
      assert.equal(10000, http.only().options.timeout_ms)
      timer.advance(400)
      reply_renewed(ID1)
      assert.equal(start + 40000, session:lease_until_ms())
      timer.advance(9599)
      assert.equal(0, #http.open())
      timer.advance(1)
      assert.equal(1, #http.open())
    end)

    it("more often while somebody counts on it, told when each good answer was asked for", function()
      local told = {}
      session.on_renewed = function(sent_ms) told[#told + 1] = sent_ms end
      session:renew_within(2000)
      local sent_ms = timer.now_ms()
      assert.equal("PUT session/renew/" .. ID1, path())
      timer.advance(100)
      reply_renewed(ID1)
      assert.same({ sent_ms }, told)
      session:renew_within(3000)
      assert.equal(0, #http.open())
      timer.advance(2900)
      http.only().fail("connect")
      timer.advance(3000)
      reply_renewed(ID1)
      assert.same({ sent_ms, timer.now_ms() }, { told[1], told[2] + 2500 })
      session:renew_within(nil)
      timer.advance(3000)
      assert.equal(1, #http.open())
    end)

    it("along with what is said to Consul anyway, when it would be due before the next time", function()
      local due_ms = 10000
      timer.advance(due_ms - 6000)
      session:renew_along(6000)
      assert.equal(0, #http.open())
      session:renew_along(6001)
      assert.equal("PUT session/renew/" .. ID1, path())
      session:renew_along(6001)
      reply_renewed(ID1)
      assert.equal(0, #http.open())
      timer.advance(9999)
      assert.equal(0, #http.open())
      timer.advance(1)
      http.only().fail("connect")
      session:renew_along(60000)
      assert.equal(0, #http.open())
      session:stop()
      session:renew_along(60000)
      assert.equal(0, #http.open())
    end)

    it("on and on when renewals fail, past the end of its lease", function()
      local lease = session:lease_until_ms()
      for _ = 1, 60 do
        timer.advance(1000)
        for _, request in ipairs(http.open()) do request.reply(500, "No cluster leader") end
      end
      assert.equal(lease, session:lease_until_ms())
      assert.is_true(timer.now_ms() > lease)
      assert.same({}, lost)
      assert.equal(ID1, session:id())
      assert.equal(2, log.count("WARN Consul session"))
      timer.advance(5000)
      assert.is_false(session:is_settling())
      reply_renewed(ID1)
      assert.is_true(session:is_settling())
      assert.equal(timer.now_ms() + 30000 > lease, true)
      assert.is_nil(problem())
    end)

    for name, lie in pairs({ ["another's entry"] = { 200, '[{"ID":"x"}]' }, ["an empty list"] = { 200, "[]" },
      ["half a body"] = { 200, "[{" }, ["a page"] = { 200, "<html>" }, ["a proxy's 404"] = { 404, "not found" },
      ["a redirect"] = { 301, "" }, ["a refusal"] = { 403, "Permission denied" } }) do
      it("not by " .. name, function()
        local lease = session:lease_until_ms()
        timer.advance(10000)
        reply(lie[1], lie[2])
        assert.equal(lease, session:lease_until_ms())
        assert.same({}, lost)
        timer.advance(500)
        assert.equal("PUT session/renew/" .. ID1, path())
      end)
    end

    it("with a larger time that the server answers with, the lease staying ours", function()
      timer.advance(10000)
      reply_renewed(ID1, "60s")
      assert.equal(timer.now_ms() + 30000, session:lease_until_ms())
    end)

    it("at once when something says that it may be gone, one renewal at a time", function()
      session:check()
      session:check()
      assert.equal("PUT session/renew/" .. ID1, path())
      reply_renewed(ID1)
      timer.advance(9999)
      assert.equal(0, #http.open())
      timer.advance(1)
      assert.equal(1, #http.open())
    end)

    it("right after the process was frozen, and found lost", function()
      timer.jump(90000)
      assert.is_true(session:lease_until_ms() < timer.now_ms())
      timer.advance(0)
      reply(404, ("Session id '%s' not found"):format(ID1))
      assert.equal(1, #lost)
    end)
  end)

  describe("that is lost", function()
    before_each(function()
      make_held()
      timer.advance(10000)
      reply(404, ("Session id '%s' not found\n"):format(ID1))
    end)

    it("is told and made again at once", function()
      assert.equal(1, #lost)
      assert.is_nil(session:id())
      assert.equal(0, session:lease_until_ms())
      assert.equal("PUT catalog/register", path())
      reply(200, "true")
      reply_created(ID2)
      assert.same({ ID1, ID2 }, held)
      assert.equal(ID2, state:get("session").id)
    end)

    it("leaves its successor settling for one TTL", function()
      assert.is_false(session:is_settling())
      reply(200, "true")
      reply_created(ID2)
      assert.is_true(session:is_settling())
      timer.advance(10000)
      reply_renewed(ID2)
      timer.advance(10000)
      reply_renewed(ID2)
      assert.is_true(session:is_settling())
      timer.advance(10000)
      assert.is_false(session:is_settling())
    end)

    it("is made again a second later when it lived less than that", function()
      reply(200, "true")
      reply_created(ID2)
      timer.advance(100)
      session:check()
      reply(404, ("Session id '%s' not found\n"):format(ID2))
      assert.equal(0, #http.open())
      timer.advance(900)
      assert.equal("PUT catalog/register", path())
    end)

    it("is not made again when the agent stops in that moment", function()
      reply(200, "true")
      reply_created(ID2)
      session.on_lost = function() session:stop() end
      timer.advance(10000)
      reply(404, ("Session id '%s' not found\n"):format(ID2))
      assert.equal(0, #http.open())
      assert.equal(0, timer.pending())
    end)
  end)

  describe("after a restart", function()
    before_each(function()
      state:set("session", { id = ID1, node = "appmgr-alpha", machine_id = "machine", boot_id = "boot", made_at = 1500000000 })
    end)

    it("is taken up again", function()
      make()
      assert.equal("PUT session/renew/" .. ID1, path())
      timer.advance(100)
      reply_renewed(ID1)
      assert.same({ ID1 }, held)
      assert.equal(timer.now_ms() - 100 + 30000, session:lease_until_ms())
      assert.is_false(session:is_settling())
    end)

    it("is settling when the one of before is gone", function()
      make()
      reply(404, ("Session id '%s' not found\n"):format(ID1))
      reply(200, "true")
      reply_created(ID2)
      assert.is_true(session:is_settling())
    end)

    it("is settling when it is made after a boot of the machine", function()
      boot_id = "another"
      make_held()
      assert.is_true(session:is_settling())
    end)

    it("is made anew when Consul forgot it", function()
      make()
      reply(404, ("Session id '%s' not found"):format(ID1))
      assert.equal("PUT catalog/register", path())
      assert.same({}, lost)
    end)

    it("is waited for while Consul cannot say", function()
      make()
      reply(500, "No cluster leader")
      timer.advance(500)
      assert.equal("PUT session/renew/" .. ID1, path())
      assert.same({}, held)
    end)

    it("is not used on another machine or after a reboot", function()
      boot_id = "another"
      make()
      assert.equal("PUT catalog/register", path())
    end)

    it("keeps the rhythm of the time it was made with", function()
      make({ session_TTL = 60 })
      reply_renewed(ID1, "15s")
      assert.equal(timer.now_ms() + 15000, session:lease_until_ms())
      timer.advance(5000)
      assert.equal("PUT session/renew/" .. ID1, path())
    end)
  end)

  describe("ends", function()
    local done
    local function callback(result, err) done = { result, err } end

    before_each(function()
      make_held()
      done = nil
    end)

    it("quietly, kept for the next agent", function()
      timer.advance(10000)
      session:stop()
      assert.same({ 0, 0 }, { #http.open(), timer.pending() })
      assert.equal(ID1, state:get("session").id)
    end)

    it("with its catalog node when the agent leaves", function()
      session:destroy(callback)
      assert.equal("PUT session/destroy/" .. ID1, path())
      reply(200, "true")
      assert.equal("GET session/node/appmgr-alpha", path())
      reply(200, "[]")
      assert.equal("PUT catalog/deregister", path())
      reply(200, "true")
      assert.same({ true }, done)
      assert.is_nil(state:get("session"))
      assert.is_nil(session:id())
      timer.advance(60000)
      assert.equal(0, #http.open())
    end)

    it("without the catalog node when another session is bound to it", function()
      session:destroy(callback)
      reply(200, "true")
      reply(200, json.encode({ { ID = ID2 } }))
      assert.same({ true }, done)
      assert.equal(0, #http.open())
    end)

    it("and says what stays behind when Consul is away, and until when", function()
      session:destroy(callback)
      http.only().fail("connect")
      assert.is_nil(done[1])
      assert.matches("^session " .. ID1:gsub("%-", "%%-") .. " and the keys it holds could not be removed: Consul at ", done[2])
      assert.matches('end by themselves within 60 s; the catalog node "appmgr%-alpha" does no harm', done[2])
      assert.equal(ID1, state:get("session").id)
    end)

    it("and says that its catalog node stays", function()
      session:destroy(callback)
      reply(200, "true")
      reply(403, "Permission denied")
      assert.is_nil(done[1])
      assert.matches('^the catalog node "appmgr%-alpha" could not be removed: .*Permission denied', done[2])
    end)

    it("when it was lost, with the catalog node", function()
      timer.advance(10000)
      reply(404, ("Session id '%s' not found"):format(ID1))
      session:destroy(callback)
      assert.equal("GET session/node/appmgr-alpha", path())
    end)

    it("when it is the one of the agent before, which could not be taken up", function()
      session:stop()
      make()
      http.only().fail("connect")
      session:destroy(callback)
      assert.equal("PUT session/destroy/" .. ID1, path())
      reply(200, "true")
      assert.equal("GET session/node/appmgr-alpha", path())
    end)

    it("at once when there is none", function()
      session:destroy(callback)
      reply(200, "true")
      reply(200, "[]")
      reply(200, "true")
      done = nil
      session:destroy(callback)
      assert.same({ true }, done)
    end)
  end)
end)
