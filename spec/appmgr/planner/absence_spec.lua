local absence = require("appmgr.planner.absence")
local core = require("spec.support.core")

local NOW = 1000

describe("nodes that are gone", function()
  local context, confirmed

  before_each(function()
    confirmed = {}
    context = {
      now = NOW, grace = 0, ttl = 30, live = 10, codec = core.codec, hosts = {}, frozen = {},
      tasks = {
        web = { on_disconnect = "keep" },
        db = { on_disconnect = { stop_after_seconds = 60 }, application = { stop_timeout = 5 } },
      },
      is_confirmed = function(id) return confirmed[id] end,
    }
  end)

  local function gone(host, fields, ...)
    local replicas = {}
    for slot, task in ipairs({ ... }) do replicas[slot] = { task = task, slot = slot - 1 } end
    fields.replicas = replicas
    context.hosts[host] = fields
  end

  local function kept(host)
    local result = absence.judge(context).hosts[host]
    return result and #result.replicas, result and result.until_time
  end

  it("give their replicas up at once without grace, and are remembered for a TTL", function()
    gone("a", {}, "web")
    local result = absence.judge(context)
    assert.same({ 0, NOW, NOW + 30 }, { #result.hosts.a.replicas, result.hosts.a.since, result.next_at })
    gone("a", { gone_since = NOW - 30 })
    assert.is_nil(absence.judge(context).hosts.a)
  end)

  it("keep theirs until their grace is over, counted from what stands in the store", function()
    context.grace = 60
    gone("a", {}, "web", "web")
    assert.same({ 2, NOW + 60 }, { kept("a") })
    gone("a", { gone_since = NOW - 59 }, "web", "web")
    local result = absence.judge(context)
    assert.same({ 2, NOW + 1, NOW + 1 }, { #result.hosts.a.replicas, result.hosts.a.until_time, result.next_at })
    gone("a", { gone_since = NOW - 60 }, "web", "web")
    assert.is_nil(kept("a"))
  end)

  it("keep what may never run twice until it is surely stopped", function()
    gone("a", { gone_since = NOW - 40 }, "web", "db")
    local result = absence.judge(context)
    assert.equal("db", result.hosts.a.replicas[1].task)
    assert.same({ 1, NOW + 26 }, { #result.hosts.a.replicas, result.next_at })
    gone("a", { gone_since = NOW - 66 }, "web", "db")
    assert.is_nil(kept("a"))
    context.tasks.db.application.fini_timeout = 30
    assert.same({ 1, NOW + 30 }, { kept("a") })
  end)

  it("do so by what they were told, whatever has become of the task", function()
    gone("a", { gone_since = NOW - 40 }, "web", "db")
    context.hosts.a.replicas[2].stops_within = 100
    assert.same({ 1, NOW + 61 }, { kept("a") })
    context.tasks.db = nil
    assert.same({ 1, NOW + 61 }, { kept("a") })
  end)

  it("keep what is of a task that is frozen, as nobody else could have it", function()
    gone("a", { gone_since = NOW - 4000 }, "web", "db")
    context.frozen.web, context.tasks.web = true, nil
    local result = absence.judge(context)
    assert.same({ "web", nil }, { result.hosts.a.replicas[1].task, result.next_at })
    assert.same({ 1, nil }, { #result.hosts.a.replicas, result.hosts.a.until_time })
  end)

  it("that said that they leave give everything up and leave nothing behind", function()
    context.grace = 60
    gone("a", { left = true }, "web", "db")
    assert.same({ hosts = {} }, absence.judge(context))
  end)

  describe("when more than half vanished within a TTL", function()
    before_each(function()
      context.live = 2
      gone("a", { gone_since = NOW - 50 }, "web")
      gone("b", { gone_since = NOW - 40 }, "web")
      gone("c", { gone_since = NOW - 25 }, "web", "db")
    end)

    it("keep all they have, for as long as it takes", function()
      for _, now in ipairs({ NOW, NOW + 100000 }) do
        context.now = now
        local result = absence.judge(context)
        assert.same({ "a", "b", "c" }, result.held.hosts)
        assert.same({ 5, 4 }, { result.held.of, result.held.replicas })
        assert.same({ 1, 1, 2 }, { kept("a"), (kept("b")), (kept("c")) })
        assert.is_nil(result.next_at)
      end
    end)

    it("give it up when that is confirmed", function()
      confirmed[absence.judge(context).held.id] = true
      local result = absence.judge(context)
      assert.is_nil(result.held)
      assert.same({ nil, nil }, { kept("a"), (kept("b")) })
      assert.equal("db", result.hosts.c.replicas[1].task)
    end)

    it("and some return, give up what those have that do not", function()
      context.hosts.a, context.live = nil, 3
      assert.is_nil(absence.judge(context).held)
      assert.is_nil(kept("b"))
    end)

    it("count among them those whose replicas were moved already", function()
      gone("a", { gone_since = NOW - 50 })
      gone("b", { gone_since = NOW - 40 })
      local held = absence.judge(context).held
      assert.same({ { "a", "b", "c" }, 2 }, { held.hosts, held.replicas })
    end)

    it("are named by who they are and since when, so that a confirmation is about nothing else", function()
      local id = absence.judge(context).held.id
      assert.equal(id, absence.judge(context).held.id)
      context.hosts.a.gone_since = NOW - 51
      assert.not_equal(id, absence.judge(context).held.id)
    end)
  end)

  it("are not held back when half are gone, or when they vanished one by one", function()
    context.live = 3
    gone("a", { gone_since = NOW - 50 }, "web")
    gone("b", { gone_since = NOW - 40 }, "web")
    gone("c", { gone_since = NOW - 25 }, "web")
    assert.is_nil(absence.judge(context).held)
    context.live = 2
    context.hosts.a.gone_since = NOW - 500
    assert.is_nil(absence.judge(context).held)
  end)

  it("do not wait together when they have nothing to move", function()
    context.live = 1
    gone("a", { gone_since = NOW - 5 })
    gone("b", { gone_since = NOW - 5 })
    assert.is_nil(absence.judge(context).held)
  end)
end)
