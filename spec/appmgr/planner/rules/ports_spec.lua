local ports = require("appmgr.planner.rules.ports")

local RANGE = { first = 20000, last = 20003 }
local HTTP = { name = "http", number = 8080 }

describe("rules.ports", function()
  it("sees fixed ports that are taken", function()
    assert.is_nil(ports.conflict({ HTTP, { name = "x" } }, { [80] = true }))
    assert.same({ code = "port", args = { port = 8080, name = "http" } }, ports.conflict({ HTTP }, { [8080] = true }))
  end)

  it("assigns dynamic ports from the range, each once", function()
    local in_use, seen = {}, {}
    for slot = 0, 3 do
      local made = assert(ports.assign({ { name = "a" } }, in_use, RANGE, "web." .. slot))
      assert.truthy(made.a >= 20000 and made.a <= 20003 and not seen[made.a])
      seen[made.a], in_use[made.a] = true, true
    end
    local made, reason = ports.assign({ { name = "a" } }, in_use, RANGE, "web.4")
    assert.is_nil(made)
    assert.same({ code = "ports_used_up", args = { first = 20000, last = 20003 } }, reason)
  end)

  it("is the same for the same replica, and changes nothing", function()
    local wanted, in_use = { { name = "a" }, { name = "b" }, HTTP }, { [20001] = true }
    local first = ports.assign(wanted, in_use, RANGE, "web.0")
    assert.same(first, ports.assign(wanted, in_use, RANGE, "web.0"))
    assert.same({ [20001] = true }, in_use)
    assert.are_not.equal(first.a, first.b)
    assert.equal(8080, first.http)
  end)

  it("keeps what a replica has", function()
    local wanted = { { name = "a" }, { name = "b" } }
    assert.same({ a = 20003, b = 20000 }, ports.assign(wanted, {}, RANGE, "web.0", { a = 20003, b = 20000 }))
    local moved = ports.assign(wanted, { [20003] = true }, RANGE, "web.0", { a = 20003, b = 20000, gone = 20001 })
    assert.equal(20000, moved.b)
    assert.are_not.equal(20003, moved.a)
    assert.is_nil(moved.gone)
    assert.are_not.equal(30000, ports.assign({ { name = "a" } }, {}, RANGE, "web.0", { a = 30000 }).a)
  end)

  it("never gives a dynamic port that the task has as a fixed one", function()
    for slot = 0, 20 do
      local made = ports.assign({ { name = "a" }, { name = "b", number = 20001 } }, {}, RANGE, "web." .. slot)
      assert.are_not.equal(made.a, made.b)
    end
  end)

  it("says when a node gives no ports away", function()
    assert.same({ code = "ports_missing" }, select(2, ports.assign({ { name = "a" } }, {}, nil, "web.0")))
    assert.same({ http = 8080 }, ports.assign({ HTTP }, {}, nil, "web.0"))
    assert.equal("port", select(2, ports.assign({ HTTP }, { [8080] = true }, nil, "web.0")).code)
  end)

  it("knows whether a replica has what is wanted", function()
    local wanted = { { name = "a" }, HTTP }
    assert.is_true(ports.suits(wanted, { a = 20000, http = 8080 }))
    assert.is_false(ports.suits(wanted, { a = 20000, http = 8081 }))
    assert.is_false(ports.suits(wanted, { http = 8080 }))
    assert.is_false(ports.suits(wanted, nil))
    assert.is_false(ports.suits({}, { a = 1 }))
    assert.is_true(ports.suits({}, nil))
  end)

  it("has a key that is equal for equal wishes alone", function()
    assert.equal(ports.key({ { name = "a" } }), ports.key({ { name = "a" } }))
    assert.are_not.equal(ports.key({ { name = "a" } }), ports.key({ { name = "a", number = 1 } }))
  end)
end)
