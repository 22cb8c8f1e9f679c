local affinity = require("appmgr.planner.rules.affinity")

local function node(labels) return { name = "n1", labels = labels, capacity = {} } end

local function compile(list) return affinity.compile({ affinities = list }) end

describe("rules.affinity", function()
  it("is nothing where no weight is", function()
    assert.is_nil(affinity.compile({}))
    assert.is_nil(compile({}))
    assert.is_nil(compile({ { attribute = "label.a", operator = "is_set", weight = 0 } }))
  end)

  it("adds up the weights that apply and divides by all", function()
    local compiled = compile({
      { attribute = "label.zone", operator = "=", value = "a", weight = 75 },
      { attribute = "label.disk", operator = "=", value = "slow", weight = -25 },
    })
    assert.same({ "disk", "zone" }, compiled.labels)
    assert.equal(0.75, compiled.score(node({ zone = "a" })))
    assert.equal(0.5, compiled.score(node({ zone = "a", disk = "slow" })))
    assert.equal(-0.25, compiled.score(node({ disk = "slow" })))
    assert.equal(0, compiled.score(node({})))
  end)

  it("reaches 1 and -1", function()
    assert.equal(1, compile({ { attribute = "label.a", operator = "is_set", weight = 3 } }).score(node({ a = "" })))
    assert.equal(-1, compile({ { attribute = "label.a", operator = "is_set", weight = -100 } }).score(node({ a = "" })))
  end)

  it("has one key for equal sets in whatever order", function()
    local a = { attribute = "label.a", operator = "in", value = { "x", "y" }, weight = 5 }
    local a_again = { attribute = "label.a", operator = "in", value = { "y", "x" }, weight = 5 }
    local b = { attribute = "label.b", operator = "is_set", weight = 7 }
    assert.equal(compile({ a, b }).key, compile({ b, a_again }).key)
    assert.are_not.equal(compile({ a }).key, compile({ b }).key)
    assert.are_not.equal(compile({ b }).key, compile({ b, b }).key)
  end)
end)
