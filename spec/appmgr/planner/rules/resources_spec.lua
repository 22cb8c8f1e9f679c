local resources = require("appmgr.planner.rules.resources")

describe("rules.resources", function()
  it("works out what a node has for tasks", function()
    assert.same({ cpu = 3900, memory_mb = 2 * 4096 - 512 - 1024, gpu = 2 }, resources.available({
      capacity = { cpu = 4000, memory_mb = 4096, gpu = 2 }, overcommit = { memory_mb = 2 },
      reserved = { cpu = 100, memory_mb = 512, unknown = 7 }, local_used = { memory_mb = 1024 },
    }))
    assert.same({ cpu = 4000 }, resources.available({ capacity = { cpu = 4000 } }))
    assert.same({ cpu = -100 }, resources.available({ capacity = { cpu = 100 }, local_used = { cpu = 200 } }))
  end)

  it("rounds fractions down and stays whole at huge numbers", function()
    assert.same({ cpu = 1333 }, resources.available({ capacity = { cpu = 1000 }, overcommit = { cpu = 1.3337 } }))
    local huge = resources.available({ capacity = { cpu = resources.MAX }, overcommit = { cpu = 100 } })
    assert.equal(resources.MAX, huge.cpu)
    assert.equal("integer", math.type(huge.cpu))
  end)

  it("says what is short and by how much", function()
    local free = { cpu = 1000, memory_mb = 512 }
    assert.is_nil(resources.fits(free, { cpu = 1000, memory_mb = 512 }))
    assert.same({ "memory_mb", 512, false }, { resources.fits(free, { cpu = 1, memory_mb = 1024 }) })
    assert.same({ "cpu", 1, false }, { resources.fits(free, { cpu = 1001, memory_mb = 1024 }) })
    assert.same({ "gpu", 1, true }, { resources.fits(free, { gpu = 1 }) })
    assert.is_nil(resources.fits(free, { gpu = 0 }))
    assert.same({ "cpu", 250, false }, { resources.fits({ cpu = -50 }, { cpu = 200 }) })
  end)

  it("needs what is asked for by default only where it is declared", function()
    local defaulted = { cpu = true }
    assert.is_nil(resources.fits({}, { cpu = 1 }, defaulted))
    assert.equal("cpu", (resources.fits({ cpu = 0 }, { cpu = 1 }, defaulted)))
    assert.equal("cpu", (resources.fits({}, { cpu = 1 }, {})))
  end)

  it("lists all reasons", function()
    assert.same({
      { code = "resource", args = { resource = "cpu", short_by = 5 } },
      { code = "resource_missing", args = { resource = "gpu" } },
    }, resources.all_reasons({ cpu = 5, memory_mb = 7 }, { cpu = 10, gpu = 1, memory_mb = 7 }))
  end)

  it("takes and gives back the same", function()
    local free = { cpu = 10, memory_mb = 5 }
    resources.subtract(free, { cpu = 3, gpu = 1 })
    assert.same({ cpu = 7, memory_mb = 5 }, free)
    resources.add(free, { cpu = 3, gpu = 1 })
    assert.same({ cpu = 10, memory_mb = 5 }, free)
  end)

  it("has a key that is equal for equal vectors alone", function()
    assert.equal(resources.key({ cpu = 1, memory_mb = 2 }), resources.key({ memory_mb = 2, cpu = 1 }))
    assert.are_not.equal(resources.key({ cpu = 1 }), resources.key({ cpu = 2 }))
    assert.are_not.equal(resources.key({ cpu = 1 }), resources.key({ memory_mb = 1 }))
  end)
end)
