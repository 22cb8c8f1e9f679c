local application = require("appmgr.application")
local resource_limit = require("appmgr.resource_limit")

local function read(limits)
  local app, findings = application.read({ command = "x", resource_limit = limits })
  return app and app.resource_limit, findings.errors[1], findings.warnings[1]
end

describe("resource_limit", function()
  it("is read, and is nothing when it says nothing", function()
    local limits = { memory_mb = 100, swap_mb = 0, memory_virt_mb = 500, cpu_shares = 512, cpu_max_percent = 150, pids = 64 }
    assert.same(limits, (read(limits)))
    assert.is_nil(read({}))
    assert.is_nil(read(nil))
  end)

  it("refuses what is no limit, and names it", function()
    for field, value in pairs({ memory_mb = 0, memory_virt_mb = -1, cpu_shares = 1, cpu_max_percent = 0, pids = 0, swap_mb = 1.5 }) do
      local limits = { memory_mb = 10 }
      limits[field] = value
      local _, err = read(limits)
      assert.truthy(err:find("^resource_limit%." .. field .. ": must be a whole number"), err)
    end
    assert.equal("resource_limit: must be an object", select(2, read({ 1 })))
    assert.truthy(select(2, read({ swap_mb = 10 })):find("give both", 1, true))
    assert.truthy(select(3, read({ memory = 10 })):find('did you mean "memory_mb"', 1, true))
  end)

  it("is what the keeper is told", function()
    assert.same({}, resource_limit.for_keeper(nil))
    assert.same({ memory_bytes = 104857600, swap_bytes = 0 }, resource_limit.for_keeper({ memory_mb = 100 }))
    assert.same({ memory_bytes = 1048576, swap_bytes = 2097152, virtual_bytes = 1048576, cpu_weight = 200, cpu_percent = 50,
      pids = 9 }, resource_limit.for_keeper({ memory_mb = 1, swap_mb = 2, memory_virt_mb = 1, cpu_shares = 2048,
      cpu_max_percent = 50, pids = 9 }))
    assert.equal(1, resource_limit.for_keeper({ cpu_shares = 2 }).cpu_weight)
    assert.equal(10000, resource_limit.for_keeper({ cpu_shares = 262144 }).cpu_weight)
  end)

  it("has a fingerprint that changes with it", function()
    local function fingerprint(limits) return resource_limit.fingerprint(resource_limit.for_keeper(limits)) end
    assert.equal("", fingerprint(nil))
    assert.not_equal(fingerprint({ pids = 1 }), fingerprint({ pids = 2 }))
    assert.not_equal(fingerprint({ memory_mb = 1 }), fingerprint({ memory_virt_mb = 1 }))
  end)

  it("is shown with how it is kept", function()
    local limits = { memory_mb = 100, pids = 20 }
    local enforced = resource_limit.enforced(limits,
      "memory_mb cgroup\nswap_mb cgroup\npids not enforced: no pids controller here\n")
    assert.same({ memory_mb = "cgroup", pids = "not enforced: no pids controller here" }, enforced)
    assert.equal("memory_mb 100 MB (cgroup), pids 20 (not enforced: no pids controller here)",
      resource_limit.describe(limits, enforced))
    assert.equal("memory_mb 100 MB, pids 20", resource_limit.describe(limits, nil))
    assert.is_nil(resource_limit.enforced(nil, "memory_mb cgroup\n"))
    assert.is_nil(resource_limit.enforced(limits, ""))
    assert.is_nil(resource_limit.enforced(limits, nil))
  end)
end)
