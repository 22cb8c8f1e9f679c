require("spec.support.core")
local fake_context = require("spec.support.fake_context")

describe("appmgr agent", function()
  local started

  before_each(function()
    started = nil
    package.loaded["appmgr.node.agent"] = { start = function(options)
      started = options
      return nil, "as far as this spec goes"
    end }
  end)
  after_each(function() package.loaded["appmgr.node.agent"] = nil end)

  local function start(...)
    local context = fake_context.new({}, { core = {
      file = { read = function() return "{}" end },
      host = { hostname = function() return "alpha" end },
    } })
    rawset(context.core, "runtime", { version = "9.9.9", working_dir = "/here" })
    assert.equal(1, fake_context.run(context, "agent", ...))
    return started
  end

  it("names the state directory absolutely, because the keeper works elsewhere", function()
    assert.equal("/here/state", start("--state-dir", "state").state_dir)
    assert.equal("/there", start("--state-dir", "/there").state_dir)
    assert.equal("/var/lib/appmgr", start().state_dir)
  end)

  it("starts a keeper itself unless told that others do", function()
    assert.is_nil(start().awaits_keeper)
    assert.is_true(start("--await-keeper").awaits_keeper)
  end)

  it("is called as its host unless told otherwise", function()
    assert.equal("alpha", start().node)
    assert.equal("beta", start("--node", "beta").node)
  end)
end)
