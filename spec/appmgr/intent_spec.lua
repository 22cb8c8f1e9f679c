local intent = require("appmgr.intent")

describe("what operators want of a node", function()
  it("is read", function()
    assert.same({ drain = false, eligible = true, wait_for_room = false }, intent.read({}))
    assert.same({ drain = true, eligible = false, wait_for_room = false, labels = { zone = "b" } },
      intent.read({ drain = true, eligible = false, labels = { zone = "b" } }))
    assert.same({ drain = true, eligible = true, wait_for_room = true, deadline = 1700000000 },
      intent.read({ drain = { deadline = 1700000000.7, wait_for_room = true } }))
    assert.same({ drain = true, eligible = true, wait_for_room = false }, intent.read({ drain = {} }))
    assert.is_false(intent.read({ drain = false }).drain)
  end)

  it("is refused when it cannot be understood", function()
    for _, document in ipairs({
      { drain = "yes" }, { drain = 1 }, { drain = { 1 } }, { drain = { deadline = "soon" } }, { drain = { deadline = 0 / 0 } },
      { drain = { deadline = math.huge } }, { drain = { wait_for_room = 1 } }, { eligible = "no" }, { 1, 2 },
    }) do
      local read, reason = intent.read(document)
      assert.is_nil(read)
      assert.is_string(reason)
    end
    assert.is_nil((intent.read("drain")))
    assert.is_nil((intent.read(nil)))
  end)
end)
