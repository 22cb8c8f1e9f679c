local placing = require("spec.support.placing")

local node, task, replica = placing.node, placing.task, placing.replica

local function where(fields)
  return placing.places((placing.decide(fields, placing.stock("binpack"))).desired)
end

local SIZE = { capacity = { cpu = 1000, memory_mb = 1000 } }

describe("binpack", function()
  it("fills a node before it begins another", function()
    assert.same({ "web.0@a", "web.1@a", "web.2@a", "web.3@b" }, where({
      nodes = { node("a", SIZE), node("b", SIZE), node("c", SIZE) },
      tasks = { task("web", { replication = 4, max_per_node = 4, resources = { cpu = 300, memory_mb = 100 } }) },
    }))
  end)

  it("looks at what the task asks for, as a share of what there is", function()
    local held = { a = { replica("lean", 0) }, b = { replica("fat", 0) } }
    local tasks = {
      task("lean", { resources = { cpu = 100, memory_mb = 500 } }), task("fat", { resources = { cpu = 200, memory_mb = 100 } }),
      task("web", { resources = { cpu = 100 } }),
    }
    local nodes = { node("a", SIZE), node("b", SIZE) }
    assert.same({ "fat.0@b", "lean.0@a", "web.0@b" }, where({ nodes = nodes, tasks = tasks, held = held }))
    nodes[1].capacity = { cpu = 400, memory_mb = 1000 }
    assert.same({ "fat.0@b", "lean.0@a", "web.0@a" }, where({ nodes = nodes, tasks = tasks, held = held }))
  end)
end)
