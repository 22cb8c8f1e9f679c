local application = require("appmgr.application")
local capabilities = require("appmgr.capabilities")
local core = require("spec.support.core")

describe("capabilities", function()
  it("are names in any case, each once, in the kernel's order", function()
    assert.same({ "chown", "net_bind_service" }, capabilities.read({ "CAP_NET_BIND_SERVICE", "chown", "net_bind_service" }))
  end)

  it("may be none, which is not the same as saying nothing", function()
    local app = assert(application.read(core.json.decode('{ "command": "x", "capabilities": [] }')))
    assert.equal("[]", core.json.encode(app.capabilities))
    local without = assert(application.read({ command = "x" }))
    assert.not_equal(application.process_hash(app, core.json, core.codec),
      application.process_hash(without, core.json, core.codec))
  end)

  it("refuse what the kernel does not know", function()
    local _, err = capabilities.read({ "net_bind" })
    assert.truthy(err:find('"net_bind" is no capability', 1, true), err)
    assert.truthy(select(2, capabilities.read({ "net_bind_servise" })):find('did you mean "net_bind_service"', 1, true))
    for _, value in ipairs({ "chown", 7, { chown = true } }) do
      assert.truthy(select(2, capabilities.read(value)):find("must be an array", 1, true))
    end
    assert.truthy(select(2, capabilities.read({ 7 })))
  end)

  it("have the kernel's numbers", function()
    assert.equal(0, capabilities.mask({}))
    assert.equal(1 << 0 | 1 << 10 | 1 << 21 | 1 << 40,
      capabilities.mask({ "chown", "net_bind_service", "sys_admin", "checkpoint_restore" }))
  end)
end)
