local attribute = require("appmgr.planner.rules.attribute")

local node = { name = "n1", hostname = "host-1", labels = { zone = "a", ["example.org/rack"] = "r7" },
  capacity = { cpu = 4000 } }

describe("rules.attribute", function()
  it("finds the value on a node", function()
    local function value(text) return attribute.value(assert(attribute.read(text)), node) end
    assert.equal("a", value("label.zone"))
    assert.equal("r7", value("label.example.org/rack"))
    assert.equal(4000, value("resource.cpu"))
    assert.equal("n1", value("node.name"))
    assert.equal("host-1", value("node.hostname"))
    assert.is_nil(value("label.other"))
    assert.is_nil(value("resource.gpu"))
  end)

  it("says what to write instead", function()
    local function reason(text) return select(2, attribute.read(text)) end
    assert.truthy(reason("zone"):find('"label.zone"', 1, true))
    assert.truthy(reason("node.nmae"):find("node.name", 1, true))
    assert.truthy(reason("label."):find("must not be empty", 1, true))
    assert.truthy(reason("label.a b"):find("allowed are", 1, true))
    assert.truthy(reason("resource.a/b"):find("allowed are", 1, true))
    assert.truthy(reason("attr.cpu.arch"):find("none of", 1, true))
    for _, nonsense in ipairs({ 7, true, {}, ("x"):rep(100000) }) do
      assert.is_nil((attribute.read(nonsense)))
    end
    assert.is_nil((attribute.read(nil)))
  end)
end)
