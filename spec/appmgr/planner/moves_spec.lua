local moves = require("appmgr.planner.moves")
local placing = require("spec.support.placing")

local replica = placing.replica

local function holder(host, slot, fields)
  return { site = { name = host }, replica = replica("web", slot, fields) }
end

local function moved(from, slot, since)
  return { from = from, slot = slot, since = since, at = 5, by = "score", before = -3, after = -1 }
end

describe("moves", function()
  it("pair who goes with who came for it, by host, slot and since", function()
    local old, new = holder("a", 0), holder("b", 2, { moved = moved("a", 0, 1) })
    local found = moves.pairs({ old, holder("c", 1), new })
    assert.equal(new, found[old])
    assert.is_nil(found[new])
  end)

  it("pair nobody with a slot that got the same number later, or with a successor that leaves", function()
    local new = holder("b", 2, { moved = moved("a", 0, 1) })
    assert.same({}, moves.pairs({ holder("a", 0, { since = 9 }), new }))
    assert.same({}, moves.pairs({ holder("c", 0), new }))
    new.replica.leaving = true
    assert.same({}, moves.pairs({ holder("a", 0), new }))
  end)

  it("say why", function()
    assert.equal("moved for balance from a: score -3 → -1", moves.text(moved("a", 0, 1)))
    assert.equal("its task's wishes 0.5 → 1", moves.reason({ by = "wish", before = 0.5, after = 1 }))
    assert.equal("score refused there → -1", moves.reason({ by = "score", after = -1 }))
  end)
end)
