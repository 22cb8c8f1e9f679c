local brake = require("appmgr.planner.brake")
local core = require("spec.support.core")

describe("the brake", function()
  local context, decision, confirmed

  --- `counts` of replicas by task on host a, of which those in `stopping` are told to stop.
  local function cluster(counts, stopping, code)
    local held, after, stops = {}, {}, {}
    for task, count in pairs(counts) do
      for slot = 0, count - 1 do
        local replica = { task = task, slot = slot, version = "v", since = 1 }
        local stop = slot < (stopping[task] or 0)
        held[#held + 1] = replica
        after[#after + 1] = stop and { task = task, slot = slot, version = "v", since = 1, leaving = true } or replica
        if stop then stops[#stops + 1] = { host = "a", replica = replica, reason = { code = code or "replication" } } end
      end
    end
    context.held = { a = held }
    decision = { stops = stops, changes = { a = after } }
  end

  before_each(function()
    confirmed = {}
    context = {
      share = 1 / 3, codec = core.codec, subject_of = function(stop) return stop.replica.task end,
      intent_of = function(task) return "intent of " .. task end,
      is_confirmed = function(task) return confirmed[task] end,
    }
  end)

  local function leaving()
    local changes, held = brake.apply(decision, context)
    local count = 0
    for _, replica in ipairs(changes.a) do count = count + (replica.leaving and 1 or 0) end
    return count, held
  end

  it("lets small changes and small shares through", function()
    cluster({ web = 5 }, { web = 5 })
    assert.same({ 5 }, { leaving() })
    cluster({ web = 30 }, { web = 10 })
    assert.same({ 10 }, { leaving() })
  end)

  it("holds back the stops of what is more than its share, and nothing else", function()
    cluster({ web = 18, db = 2 }, { web = 7 })
    decision.changes.b = { { task = "db", slot = 5 } }
    local count, held = leaving()
    assert.equal(0, count)
    assert.same({ { web = 7 }, 7, 20 }, { held.counts, held.stops, held.of })
    assert.equal(decision.changes.b, brake.apply(decision, context).b)
    assert.equal(context.held.a[1], brake.apply(decision, context).a[1])
  end)

  it("lets through what is confirmed, and counts only the rest", function()
    cluster({ web = 10, db = 10 }, { web = 10, db = 3 })
    assert.equal(0, (leaving()))
    confirmed.web = true
    assert.equal(13, (leaving()))
    cluster({ web = 10, db = 10 }, { web = 10, db = 8 })
    local count, held = leaving()
    assert.same({ 10, { db = 8 } }, { count, held.counts })
  end)

  it("counts what is stopping already", function()
    cluster({ web = 20 }, { web = 4 })
    assert.is_nil(select(2, leaving()))
    for position = 10, 13 do context.held.a[position].leaving = true end
    assert.equal(4, select(2, leaving()).stops)
    confirmed.web = true
    assert.is_nil(select(2, leaving()))
  end)

  it("does not hold what is no change of intent", function()
    cluster({ web = 20 }, { web = 20 }, "duplicate")
    assert.equal(20, (leaving()))
  end)

  it("names a change by what is asked for, so that a confirmation is about nothing else", function()
    cluster({ web = 20 }, { web = 20 })
    local _, held = leaving()
    local _, again = leaving()
    assert.equal(held.id, again.id)
    context.intent_of = function() return "another" end
    _, again = leaving()
    assert.not_equal(held.id, again.id)
  end)
end)
