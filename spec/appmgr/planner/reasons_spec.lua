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
      counter.add({ code = "condition", args = { label = "id" .. number, pattern = "x", value = "y" } })
    end
    local text = reasons.sentence(counter.list(), 100)
    assert.truthy(text:find("; and 94 more reasons", 1, true))
  end)

  it("are one reason where nodes only differ in what they have", function()
    local counter = reasons.counter()
    for _, value in ipairs({ "b", "c", "b" }) do
      counter.add({ code = "condition", args = { label = "zone", pattern = "a", value = value } })
    end
    for _, short_by in ipairs({ 1024, 512, 700 }) do
      counter.add({ code = "resource", args = { resource = "memory_mb", short_by = short_by } })
    end
    counter.add({ code = "resource", args = { resource = "cpu", short_by = 5 } }, 2)
    local list = counter.list()
    assert.equal('3 of 8 nodes: label zone is not "a"; 3: memory_mb, short by 512 or more; 2: cpu, short by 5',
      reasons.sentence(list, 8))
    assert.is_nil(list[1].args.value)
  end)

  it("do not change what they are made of", function()
    local counter = reasons.counter()
    local first = { code = "constraint", args = { attribute = "label.zone", wanted = "= a", value = "b" } }
    counter.add(first)
    counter.add({ code = "constraint", args = { attribute = "label.zone", wanted = "= a", value = "c" } })
    assert.equal("b", first.args.value)
    assert.equal("label.zone does not meet = a", reasons.text(counter.list()[1]))
    assert.equal('label.zone is "b", it asks for = a', reasons.text(first))
  end)

  it("have a text for each rule", function()
    local function text(code, args) return reasons.text({ code = code, args = args }) end
    local relation = { task = "db", per = "label.zone", value = "a" }
    assert.equal("no label.gpu, it asks for is_set",
      text("constraint_missing", { attribute = "label.gpu", wanted = "is_set" }))
    assert.equal("have no gpu", text("resource_missing", { resource = "gpu" }))
    assert.equal("port 8080 (http) is taken", text("port", { port = 8080, name = "http" }))
    assert.equal("all ports from 1 to 2 are taken", text("ports_used_up", { first = 1, last = 2 }))
    assert.equal("give no ports away", text("ports_missing"))
    assert.truthy(text("with", relation):find("no replica of db", 1, true))
    assert.truthy(text("apart_from", relation):find("apart from", 1, true))
    assert.truthy(text("kept_apart", relation):find("apart from it", 1, true))
    assert.truthy(text("relation_missing", { label = "zone", task = "db" }):find("no label zone", 1, true))
  end)

  it("have a sentence for what concerns the whole task", function()
    assert.equal("waiting until slot 3 has stopped on beta",
      reasons.sentence({ { code = "leaving", args = { slot = 3, node = "beta" } } }, 2))
  end)
end)
