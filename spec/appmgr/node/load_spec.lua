local Load = require("appmgr.node.load")

local function resource(cpu_percent, memory_percent)
  return {
    load = { ["1min"] = cpu_percent / 100 * 4 }, cpu_processors = 4,
    mem_total_bytes = 1000, mem_available_bytes = 1000 - 10 * memory_percent,
  }
end

describe("the load of a node", function()
  it("is told in steps", function()
    assert.same({ cpu = 40, memory = 60 }, Load.new():measure(resource(43, 58)))
    assert.same({ cpu = 0, memory = 0 }, Load.new():measure(resource(2, 4.9)))
    assert.same({ cpu = 100, memory = 100 }, Load.new():measure(resource(1700, 100)))
  end)

  it("stays where it is while it trembles", function()
    local load, told = Load.new(), {}
    load:measure(resource(40, 0))
    for _, cpu in ipairs({ 44, 46, 49, 45.1, 44.9, 31 }) do told[load:measure(resource(cpu, 0)).cpu] = true end
    assert.same({ [40] = true }, told)
    assert.equal(50, load:measure(resource(51, 0)).cpu)
    assert.equal(50, load:measure(resource(41, 0)).cpu)
    assert.equal(40, load:measure(resource(40, 0)).cpu)
  end)

  it("is not made up where nothing can be measured", function()
    local load = Load.new()
    assert.same({}, load:measure({}))
    assert.same({}, load:measure({ load = { ["1min"] = 0 / 0 }, cpu_processors = 2, mem_total_bytes = 0, mem_available_bytes = 0 }))
    load:measure(resource(50, 50))
    assert.same({ cpu = 50, memory = 50 }, load:measure({}))
  end)
end)
