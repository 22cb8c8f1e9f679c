local Nodes = require("appmgr.planner.nodes")
local core = require("spec.support.core")

describe("the model's nodes", function()
  local nodes

  before_each(function() nodes = Nodes.new(core) end)

  local function live(host, document, session)
    return { key = "live/" .. host, value = core.json.encode(document), session = session, index = 7 }
  end

  it("say which tasks keep failing there; what makes no sense is left out", function()
    nodes:feed_live({
      live("alpha", { avoid = { web = 1700000600, db = "soon" } }, "s"), live("beta", { avoid = "nonsense" }, "s"), live("gamma", {}, "s"),
    })
    local list = nodes:list()
    assert.same({ web = 1700000600 }, list[1].avoid)
    assert.is_nil(list[2].avoid)
    assert.is_nil(list[3].avoid)
  end)

  it("that left on purpose say so without a session, and are not alive", function()
    nodes:feed_live({ live("alpha", { left = true }), live("beta", { left = true }, "s"), live("gamma", {}) })
    assert.same({ alpha = 7 }, nodes.left)
    assert.equal("beta", nodes:list()[1].name)
    assert.equal(1, #nodes:list())
    nodes:feed_live({ live("alpha", {}, "s") })
    assert.same({}, nodes.left)
  end)

  it("that are gone have labels by what operators said, and get nothing", function()
    nodes:feed_intents({ { key = "node/alpha", value = '{"labels":{"zone":"a"}}' } })
    local record = nodes:gone_record("alpha", 100, 160)
    assert.same({ true, 100, 160, false }, { record.gone, record.gone_since, record.grace_until, record.eligible })
    assert.same({ zone = "a" }, record.labels)
  end)
end)
