local simulation = require("appmgr.workbench.simulation")

describe("how far two runs are apart", function()
  local function elsewhere(one, other) return simulation.elsewhere(one, other) end

  it("counts each replica once, whatever the number of its slot", function()
    assert.equal(0, elsewhere({ ["web.0"] = "a", ["web.1"] = "b" }, { ["web.7"] = "a", ["web.0"] = "b" }))
    assert.equal(1, elsewhere({ ["web.0"] = "a", ["web.1"] = "b" }, { ["web.2"] = "a", ["web.3"] = "c" }))
    assert.equal(2, elsewhere({ ["a.b.0"] = "n1", ["a.0"] = "n1" }, { ["a.b.0"] = "n2", ["a.0"] = "n2" }))
  end)

  it("counts what only one of them places", function()
    assert.equal(1, elsewhere({ ["web.0"] = "a" }, { ["web.0"] = "a", ["web.1"] = "a" }))
    assert.equal(2, elsewhere({ ["web.0"] = "a" }, { ["db.0"] = "a" }))
  end)
end)
