local Confirmations = require("appmgr.planner.confirmations")
local confirmation = require("appmgr.confirmation")
local core = require("spec.support.core")

describe("confirmations", function()
  local confirmations

  local function feed(documents)
    local entries = { { key = "confirm/" } }
    for id, document in pairs(documents) do entries[#entries + 1] = { key = "confirm/" .. id, value = document, index = 7 } end
    confirmations = Confirmations.new(core)
    confirmations:feed(entries)
  end

  it("are about an id, or about what a task asks for, for ten minutes", function()
    feed({ ["gone-1"] = '{"at":1000}', ["stop-2"] = '{"at":1000,"subjects":{"web":"abc"}}' })
    assert.is_true(confirmations:has("gone-1", 1599))
    assert.is_false(confirmations:has("gone-1", 1600))
    assert.is_false(confirmations:has("gone-2", 1000))
    assert.is_true(confirmations:covers("web", "abc", 1599))
    assert.is_false(confirmations:covers("web", "abd", 1599))
    assert.is_false(confirmations:covers("db", "abc", 1599))
    assert.is_false(confirmations:covers("web", "abc", 1600))
  end)

  it("that count no more are known by their index", function()
    feed({ b = '{"at":1}', a = "nonsense", c = '{"at":5000}' })
    assert.same({ { id = "a", index = 7 }, { id = "b", index = 7 } }, confirmations:expired(5000))
    confirmations:forget("a")
    assert.same({ { id = "b", index = 7 } }, confirmations:expired(5000))
  end)

  it("name a removed task apart from any document", function()
    assert.equal("removed", confirmation.intent(nil, core.codec))
    assert.equal(12, #confirmation.intent("{}", core.codec))
  end)
end)
