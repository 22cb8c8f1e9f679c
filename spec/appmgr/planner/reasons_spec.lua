local reasons = require("appmgr.planner.reasons")

describe("reasons", function()
  it("are counted, most frequent first, and told apart by their arguments", function()
    local counter = reasons.counter()
    for _, label in ipairs({ "zone", "arch", "zone" }) do
      counter.add({ code = "condition", args = { label = label, pattern = "%1", value = "x" } })
    end
    counter.add({ code = "drain" })
    local list = counter.list()
    assert.same({ 2, 1, 1 }, { list[1].count, list[2].count, list[3].count })
    assert.equal('2 of 4 nodes: label zone is "x", it asks for "%1"; 1: label arch is "x", it asks for "%1"; '
      .. "1: being drained", reasons.sentence(list, 4))
  end)

  it("are not all listed when there are many", function()
    local counter = reasons.counter()
    for number = 1, 100 do
      counter.add({ code = "condition", args = { label = "id", pattern = "x", value = tostring(number) } })
    end
    local text = reasons.sentence(counter.list(), 100)
    assert.truthy(text:find("; and 94 more reasons", 1, true))
  end)

  it("have a sentence for what concerns the whole task", function()
    assert.equal("waiting until slot 3 has stopped on beta",
      reasons.sentence({ { code = "leaving", args = { slot = 3, node = "beta" } } }, 2))
  end)
end)
