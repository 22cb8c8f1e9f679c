local capacity = require("appmgr.planner.capacity")

describe("what a node says that it has", function()
  it("is read", function()
    local read, fault = capacity.read({
      capacity = { cpu = 4000, memory_mb = 8192.0 }, resources = { gpu = 2, cpu = 3000 }, reserved = { cpu = 100 },
      local_used = { memory_mb = 64 }, overcommit = { memory_mb = 1.5 }, ports = { first = 20000, last = 20009 },
      reserved_ports = { 22, 80 },
    })
    assert.is_nil(fault)
    assert.same({
      capacity = { cpu = 3000, memory_mb = 8192, gpu = 2 }, reserved = { cpu = 100 }, local_used = { memory_mb = 64 },
      overcommit = { memory_mb = 1.5 }, ports = { first = 20000, last = 20009 }, reserved_ports = { [22] = true, [80] = true },
    }, read)
  end)

  it("is nothing where an older agent says nothing", function()
    local read, fault = capacity.read({})
    assert.is_nil(fault)
    assert.same({ {}, {} }, { read.capacity, read.reserved_ports })
    assert.is_nil(read.ports)
  end)

  it("is told when it cannot be true", function()
    for _, case in ipairs({
      { { capacity = { cpu = -5 } }, "capacity.cpu is -5" },
      { { capacity = { cpu = "many" } }, 'capacity.cpu is "many"' },
      { { capacity = { cpu = 0 / 0 } }, "capacity.cpu is" },
      { { capacity = { cpu = math.huge } }, "capacity.cpu is" },
      { { capacity = { cpu = 1e300 } }, "capacity.cpu is" },
      { { capacity = { cpu = {} } }, "a list or an object" },
      { { capacity = { [1] = 4 } }, "not an object of numbers" },
      { { capacity = "4 cores" }, "not an object of numbers" },
      { { resources = { gpu = 1.5 } }, "resources.gpu is 1.5" },
      { { overcommit = { cpu = 0 } }, "overcommit.cpu is 0" },
      { { overcommit = { cpu = 1000 } }, "overcommit.cpu is 1000" },
      { { overcommit = { cpu = 0 / 0 } }, "overcommit.cpu is" },
      { { local_used = { cpu = true } }, "local_used.cpu is true" },
      { { ports = "20000-20009" }, "ports is no range" },
      { { ports = { first = 9, last = 3 } }, "ports is no range" },
      { { ports = { first = 1, last = 70000 } }, "ports is no range" },
      { { reserved_ports = { 80, "ssh" } }, 'reserved_ports holds "ssh"' },
      { { reserved_ports = 80 }, "reserved_ports is 80" },
      { { capacity = { cpu = ("x"):rep(100000) } }, "capacity.cpu is a text" },
    }) do
      local _, fault = capacity.read(case[1])
      assert.truthy(fault and fault:find(case[2], 1, true), tostring(fault))
      assert.truthy(#fault < 400)
    end
  end)

  it("keeps what can be used of it", function()
    local read, fault = capacity.read({ capacity = { cpu = 4000, memory_mb = "much" } })
    assert.same({ cpu = 4000 }, read.capacity)
    assert.truthy(fault:find("memory_mb", 1, true))
  end)
end)

describe("labels of a node", function()
  it("are texts", function()
    assert.same({ zone = "a", cores = "4", fast = "true" }, (capacity.read_labels({ zone = "a", cores = 4, fast = true })))
    local labels, fault = capacity.read_labels({ zone = "a", rack = {}, row = { 1 } })
    assert.same({ zone = "a" }, labels)
    assert.truthy(fault:find("rack, row", 1, true))
    labels, fault = capacity.read_labels("zone=a")
    assert.same({}, labels)
    assert.truthy(fault:find("no object", 1, true))
  end)
end)
