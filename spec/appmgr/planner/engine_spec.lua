local Deltas = require("appmgr.planner.deltas")
local core = require("spec.support.core")
local placing = require("spec.support.placing")

local node, task, replica, snapshot = placing.node, placing.task, placing.replica, placing.snapshot
local decide = placing.decide

describe("the engine", function()
  it("gives a node nothing that it does not allow, and takes away what it has of it", function()
    local permits = require("appmgr.permits")
    local app = { status = 1, argv = { "/bin/sh" }, env = {}, user = "nobody" }
    local limited = function(rules) return { permits = permits.read(rules) } end
    local nodes = {
      node("a", limited({ enabled = false })), node("b", limited({ users = { "root" }, owner = "root" })),
      node("c", limited({ commands = { "/usr/bin/*" } })),
    }
    local result = decide({
      nodes = nodes, tasks = { task("web", { application = app }) }, held = { b = { replica("web", 0) } },
    })
    assert.same({ "web.0@b leaving" }, placing.places(result.desired))
    local _, engine = decide({ nodes = nodes, tasks = { task("web", { application = app }) } })
    local sentence = require("appmgr.planner.reasons").sentence(engine:task_state("web").reasons, 3)
    for _, text in ipairs({ "take no tasks", "not allowed there: user nobody", "not allowed there: command /bin/sh" }) do
      assert.truthy(sentence:find(text, 1, true), sentence)
    end
  end)

  it("gives every live node an answer", function()
    assert.same({ a = {}, b = {}, c = {} }, decide({}).desired)
  end)

  it("fills the lowest slots first and breaks ties by name", function()
    local result = decide({ tasks = { task("web", { replication = 4, max_per_node = 2 }) } }, "function() return 1 end")
    assert.same({ "web.0@a", "web.1@a", "web.2@b", "web.3@b" }, placing.places(result.desired))
  end)

  it("sees a score that changes with each placement", function()
    local result = decide({
      tasks = { task("web", { replication = 4, max_per_node = 4 }) }, held = { a = { replica("web", 3), replica("web", 2) } },
    })
    assert.same({ "web.0@b", "web.1@c", "web.2@a", "web.3@a" }, placing.places(result.desired))
  end)

  it("keeps one of two holders of a slot: who has it longer", function()
    local result = decide({
      tasks = { task("web") }, held = { a = { replica("web", 0, { since = 9 }) }, b = { replica("web", 0, { since = 5 }) } },
    })
    assert.same({ "web.0@a leaving", "web.0@b" }, placing.places(result.desired))
  end)

  it("puts nothing anywhere while a host cannot say what it runs", function()
    local result, engine = decide({ tasks = { task("web") }, unreadable = { b = true } })
    assert.same({ a = {}, c = {} }, result.desired)
    assert.same({ b = true }, result.status_hosts)
    assert.equal("host_unreadable", engine:task_state("web").reasons[1].code)
  end)

  it("lets a score of infinity win", function()
    local result = decide({ tasks = { task("web") } }, 'function(_, node) return node.name == "c" and math.huge or 0 end')
    assert.same({ "web.0@c" }, placing.places(result.desired))
  end)

  it("says why a blocked slot waits", function()
    local status = { acted_on = 5, rows = { ["web.0"] = { task = "web", slot = 0, version = "v1", state = "running" } } }
    local result, engine = decide({
      tasks = { task("web") }, nodes = { node("a", { drain = true, status = status }), node("b") },
      held = { a = { replica("web", 0, { leaving = true }) } },
    })
    assert.same({ { code = "leaving", args = { slot = 0, node = "a" } } }, engine:task_state("web").reasons)
    assert.same({ "web.0@a leaving" }, placing.places(result.desired))
  end)

  it("does not change its snapshot", function()
    local given = snapshot({
      tasks = { task("web", { replication = 2, version = "v2" }) }, held = { a = { replica("web", 0), replica("old", 0) } },
    })
    local before = core.json.encode(given.held)
    Deltas.decide_once(given, placing.policy(placing.SPREAD), {})
    assert.equal(before, core.json.encode(given.held))
  end)
end)
