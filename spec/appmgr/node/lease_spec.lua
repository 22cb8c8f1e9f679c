local Lease = require("appmgr.node.lease")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("the lease", function()
  local timer, log, lease, renewed, rhythms, asked, changes, is_connected, started_ms

  before_each(function()
    timer, log, renewed, rhythms, asked, changes, is_connected = fake_timer.new(), fake_log.new(), {}, {}, {}, 0, true
    lease = Lease.new({
      timer = timer, log = log,
      keeper = function()
        return is_connected and { renew = function(_, at_ms) renewed[#renewed + 1] = at_ms end } or nil
      end,
      renew_within = function(ms) rhythms[#rhythms + 1] = ms or "none" end,
      confirm = function(callback) asked[#asked + 1] = callback end,
      on_change = function() changes = changes + 1 end,
    })
    started_ms = timer.now_ms()
  end)

  --- A node that has its name, a session, and replicas with these terms; its slots are confirmed.
  local function in_touch(...)
    local terms = {}
    for _, seconds in ipairs({ ... }) do terms[seconds] = true end
    lease:set_terms(terms)
    lease:renewed(timer.now_ms())
    lease:joined()
    asked[#asked](true)
    changes = 0
  end

  local function mode(seconds, is_up)
    return (lease:ruling(seconds, is_up))
  end

  it("leaves what it does not know to the keeper, and starts nothing", function()
    local ruling, reason = lease:ruling(60, true)
    assert.equal("keep", ruling)
    assert.matches("waits for Consul", reason)
    assert.equal("keep", mode(60, false))
  end)

  it("starts nothing before its time, and says when that has come", function()
    in_touch(60)
    local moment_ms = timer.now_ms() + 5000
    local ruling, reason = lease:ruling(60, false, moment_ms)
    assert.equal("keep", ruling)
    assert.matches("waits until whoever had it", reason)
    assert.equal("keep", (lease:ruling(60, false, moment_ms + 9000)))
    assert.is_nil((lease:ruling(60, true, moment_ms)))
    timer.advance(5000)
    assert.equal(1, changes)
    assert.is_nil((lease:ruling(60, false, moment_ms)))
    lease:stop()
    assert.equal(0, timer.pending())
  end)

  it("costs nothing where nobody has one", function()
    lease:renewed(timer.now_ms())
    lease:joined()
    assert.same({}, renewed)
    assert.equal(0, #asked)
    assert.equal(0, timer.pending())
  end)

  it("is handed on with each renewal, from the moment that was sent, and lets run", function()
    in_touch(60)
    assert.same({ started_ms }, renewed)
    assert.is_nil(mode(60, true))
    assert.is_nil(mode(60, false))
    timer.advance(20000)
    lease:renewed(timer.now_ms() - 300)
    assert.same({ started_ms, started_ms + 19700 }, renewed)
    timer.advance(59000)
    assert.is_nil(mode(60, true))
    assert.equal(0, changes)
  end)

  it("has the session renewed often enough for the shortest", function()
    in_touch(60, 6)
    assert.same({ 2000 }, rhythms)
    lease:set_terms({ [60] = true })
    lease:set_terms({ [60] = true })
    lease:set_terms({})
    assert.same({ 2000, 20000, "none" }, rhythms)
  end)

  it("ends a moment before the keeper's does, the shorter first", function()
    in_touch(60, 6)
    timer.advance(5899)
    assert.equal(0, changes)
    timer.advance(1)
    assert.equal(1, changes)
    local ruling, reason = lease:ruling(6, true)
    assert.equal("off", ruling)
    assert.matches("could not be reached for 6 s", reason)
    assert.is_nil(mode(60, true))
    timer.advance(54000)
    assert.equal(2, changes)
    assert.equal("off", mode(60, true))
    assert.equal(0, timer.pending())
  end)

  it("that ended starts nothing before the slot is confirmed", function()
    in_touch(6)
    timer.advance(10000)
    lease:renewed(timer.now_ms())
    assert.equal("keep", mode(6, false))
    assert.equal(2, #asked)
    changes = 0
    asked[2](false)
    assert.equal("keep", mode(6, false))
    assert.equal(0, changes)
    timer.advance(1000)
    asked[3](true)
    assert.is_nil(mode(6, false))
    assert.equal(1, changes)
  end)

  it("is not renewed while this node is not among the live", function()
    in_touch(60)
    lease:left()
    timer.advance(1000)
    lease:renewed(timer.now_ms())
    assert.same({ started_ms }, renewed)
    assert.is_nil(mode(60, true))
    assert.equal("keep", mode(60, false))
    lease:joined()
    assert.same({ started_ms, started_ms + 1000 }, renewed)
    assert.equal("keep", mode(60, false))
    asked[2](true)
    assert.is_nil(mode(60, false))
  end)

  it("forgets an answer that was asked for before the node was lost", function()
    lease:set_terms({ [60] = true })
    lease:renewed(timer.now_ms())
    lease:joined()
    lease:left()
    asked[1](true)
    lease:joined()
    assert.equal("keep", mode(60, false))
    asked[2](true)
    assert.is_nil(mode(60, false))
  end)

  it("is told to a keeper that is new, and waits for one that is away", function()
    in_touch(60)
    is_connected = false
    timer.advance(5000)
    lease:renewed(timer.now_ms())
    assert.equal(1, #renewed)
    is_connected = true
    lease:keeper_ready()
    assert.same({ started_ms, started_ms + 5000 }, renewed)
  end)

  it("that the keeper ended by itself is over until Consul is heard again", function()
    in_touch(60)
    lease:ended()
    assert.equal(1, changes)
    assert.equal("keep", mode(60, false))
    timer.advance(100)
    lease:renewed(timer.now_ms())
    assert.equal(started_ms + 100, renewed[2])
    asked[2](true)
    assert.is_nil(mode(60, false))
  end)

  it("stays with the keeper when the agent ends", function()
    in_touch(60)
    lease:stop()
    lease:renewed(timer.now_ms() + 1)
    assert.equal(1, #renewed)
    assert.equal(0, timer.pending())
  end)
end)
