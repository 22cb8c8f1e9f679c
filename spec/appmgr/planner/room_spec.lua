local room = require("appmgr.planner.room")

describe("the room of a node", function()
  local room_of = room.accountant({
    { name = "web", task = { resources = { cpu = 100, memory_mb = 64, gpu = 1 } } }, { name = "broken" },
  })

  it("is what it has for tasks, and what they use of that", function()
    local node = { capacity = { cpu = 2000, memory_mb = 1024, disk = 5 }, reserved = { cpu = 500 }, overcommit = {}, local_used = {} }
    local replicas = { { task = "web" }, { task = "web", leaving = true }, { task = "broken" }, { task = "gone" } }
    assert.same({
      cpu = { available = 1500, used = 200 }, memory_mb = { available = 1024, used = 128 }, disk = { available = 5, used = 0 },
    }, room_of(node, replicas))
  end)

  it("is nothing where a node declares nothing", function()
    assert.same({}, room_of({ capacity = {} }, { { task = "web" } }))
  end)
end)
