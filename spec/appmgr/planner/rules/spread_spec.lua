local spread = require("appmgr.planner.rules.spread")

local function place(compiled, total, nodes)
  local tally, placed = compiled.tally(total), {}
  for _, labels in ipairs(nodes) do tally:see(labels) end
  for _ = 1, total do
    local best, best_score
    for _, labels in ipairs(nodes) do
      local score = tally:score(labels)
      assert.truthy(score >= -1 and score <= 1)
      if not best or score > best_score then best, best_score = labels, score end
    end
    tally:add(best, 1)
    placed[best.zone or "none"] = (placed[best.zone or "none"] or 0) + 1
  end
  return placed
end

local ZONES = { { zone = "a" }, { zone = "b" }, { zone = "c" }, { zone = "a" } }

describe("rules.spread", function()
  it("is nothing where nothing stands", function()
    assert.is_nil(spread.compile({}))
    assert.is_nil(spread.compile({ spread = {} }))
  end)

  it("spreads evenly over the values, not the nodes", function()
    local compiled = spread.compile({ spread = { { label = "zone" } } })
    assert.same({ a = 3, b = 3, c = 3 }, place(compiled, 9, ZONES))
    assert.same({ a = 4, b = 3, c = 3 }, place(compiled, 10, ZONES))
  end)

  it("reaches the targets", function()
    local compiled = spread.compile({ spread = { { label = "zone", targets = { a = 70, b = 30 } } } })
    assert.same({ a = 7, b = 3 }, place(compiled, 10, ZONES))
  end)

  it("gives what the targets leave to the other values", function()
    local compiled = spread.compile({ spread = { { label = "zone", targets = { a = 50 } } } })
    assert.same({ a = 4, b = 2, c = 2 }, place(compiled, 8, ZONES))
  end)

  it("uses nodes without the label, and those without a share, last", function()
    local tally = spread.compile({ spread = { { label = "zone", targets = { a = 100 } } } }).tally(2)
    for _, labels in ipairs({ { zone = "a" }, { zone = "b" }, {} }) do tally:see(labels) end
    tally:add({ zone = "a" }, 50)
    assert.truthy(tally:score({ zone = "a" }) > tally:score({ zone = "b" }))
    assert.equal(-1, tally:score({}))
    assert.equal(-1, tally:score({ zone = "b" }))
  end)

  it("takes the mean over several labels", function()
    local tally = spread.compile({ spread = { { label = "zone" }, { label = "rack" } } }).tally(4)
    tally:add({ zone = "a", rack = "1" }, 1)
    tally:see({ zone = "b", rack = "2" })
    assert.equal(1, tally:score({ zone = "b", rack = "2" }))
    assert.truthy(tally:score({ zone = "a", rack = "2" }) < 1)
    assert.truthy(tally:score({ zone = "a", rack = "2" }) > tally:score({ zone = "a", rack = "1" }))
  end)

  it("forgets replicas that left", function()
    local tally = spread.compile({ spread = { { label = "zone" } } }).tally(2)
    tally:add({ zone = "a" }, 1)
    tally:see({ zone = "b" })
    tally:add({ zone = "a" }, -1)
    assert.equal(tally:score({ zone = "b" }), tally:score({ zone = "a" }))
  end)

  it("never gives NaN", function()
    local tally = spread.compile({ spread = { { label = "zone", targets = { a = 0 } } } }).tally(0)
    tally:see({ zone = "a" })
    for _, labels in ipairs({ {}, { zone = "a" }, { zone = "new" } }) do assert.equal(-1, tally:score(labels)) end
  end)

  it("has a key that says the same where it asks for the same", function()
    local one = spread.compile({ spread = { { label = "zone", targets = { a = 1, b = 2 } } } })
    local same = spread.compile({ spread = { { label = "zone", targets = { b = 2, a = 1 } } } })
    local other = spread.compile({ spread = { { label = "zone" } } })
    assert.equal(one.key, same.key)
    assert.are_not.equal(one.key, other.key)
  end)
end)
