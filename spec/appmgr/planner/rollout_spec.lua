local rollout = require("appmgr.planner.rollout")

--- A holder of a slot with a version since a time; `shown` is what its node shows of it: {version, state}.
local function holder(slot, version, since, shown)
  local rows = shown and { ["web." .. slot] = { version = shown[1], state = shown[2] } }
  return {
    site = { name = "n" .. slot, status = rows and { acted_on = 1, rows = rows } },
    replica = { task = "web", slot = slot, version = version, since = since },
  }
end

local function slots(holders)
  local list = {}
  for position, item in ipairs(holders) do list[position] = item.replica.slot end
  return list
end

--- Takes the next step of a rollout to the version "new".
local function advance(staying, now, status)
  return rollout.advance({ version = "new", application = { status = status or 1 } }, staying, now, function(item, since)
    item.replica = { task = "web", slot = item.replica.slot, version = "new", since = since }
    return true
  end)
end

local RUNS = { "new", "running" }

describe("a rollout", function()
  for _, case in ipairs({
    { "has nothing to do when all have the version", { holder(0, "new", 5), holder(1, "new", 5) }, {}, {} },
    { "begins with the lowest slot", { holder(0, "old", 1), holder(1, "old", 1) }, { 0 }, { 0 } },
    { "waits for the one before without a status", { holder(0, "new", 9), holder(1, "old", 1) }, {}, { 0 } },
    { "waits for the one before while it shows the old version",
      { holder(0, "new", 9, { "old", "running" }), holder(1, "old", 1) }, {}, { 0 } },
    { "waits for the one before while it does not run",
      { holder(0, "new", 9, { "new", "backoff" }), holder(1, "old", 1) }, {}, { 0 } },
    { "goes on when the one before waits for its time",
      { holder(0, "new", 9, { "new", "waiting" }), holder(1, "old", 1) }, { 1 }, {} },
    { "goes on when the one before runs, and watches the next",
      { holder(0, "new", 9, RUNS), holder(1, "old", 1), holder(2, "old", 1) }, { 1 }, { 1 } },
    { "waits for nobody after the last", { holder(0, "new", 9, RUNS), holder(1, "old", 1) }, { 1 }, {} },
    { "waits for the latest only, whatever became of those before",
      { holder(0, "new", 8), holder(1, "new", 9, RUNS), holder(2, "old", 1), holder(3, "old", 1) }, { 2 }, { 2 } },
    { "waits for all that got it within the same second",
      { holder(0, "new", 9), holder(1, "new", 9, RUNS), holder(2, "old", 1) }, {}, { 0, 1 } },
  }) do
    it(case[1], function()
      local moved, unproven = advance(case[2], 20)
      assert.same({ case[3], case[4] }, { slots(moved), slots(unproven) })
      for _, item in ipairs(moved) do assert.same({ "new", 20 }, { item.replica.version, item.replica.since }) end
    end)
  end

  it("watches those that got the version in this second together", function()
    local staying = { holder(0, "new", 20, RUNS), holder(1, "old", 1), holder(2, "old", 1) }
    local moved, unproven = advance(staying, 20)
    assert.same({ { 1 }, { 0, 1 } }, { slots(moved), slots(unproven) })
  end)

  it("never goes back in time, whatever this leader's clock says", function()
    local moved = advance({ holder(0, "new", 90, RUNS), holder(1, "old", 1) }, 20)
    assert.equal(90, moved[1].replica.since)
  end)

  it("of what is disabled moves all at once", function()
    local staying = { holder(0, "old", 1), holder(1, "old", 1) }
    local moved, unproven = advance(staying, 20, 0)
    assert.same({ { 0, 1 }, {} }, { slots(moved), slots(unproven) })
  end)

  it("of ports goes on when the node acts on them, not when it still shows what it ran before", function()
    local function one(slot, number, acted_on)
      local made = holder(slot, "new", slot == 0 and 9 or 1, RUNS)
      made.replica.ports, made.site.index, made.site.status.acted_on = { http = number }, 7, acted_on
      return made
    end
    local task = { version = "new", application = { status = 1 }, ports = { { name = "http", number = 81 } } }
    local function next_slots(acted_on)
      return slots((rollout.advance(task, { one(0, 81, acted_on), one(1, 80, 7), one(2, 80, 7) }, 20, function() return true end)))
    end
    assert.same({}, next_slots(6))
    assert.same({ 1 }, next_slots(7))
  end)

  it("goes past a slot that cannot have its new ports", function()
    local task = { version = "new", application = { status = 1 } }
    local moved = rollout.advance(task, { holder(0, "old", 1), holder(1, "old", 1) }, 20, function(item)
      return item.replica.slot == 1
    end)
    assert.same({ 1 }, slots(moved))
  end)
end)
