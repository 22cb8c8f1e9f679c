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

  describe("where tasks want ports", function()
    local wanted = { { name = "http", number = 8080 }, { name = "admin" } }
    local RANGE = { first = 20000, last = 20009 }
    local function running(index)
      return { acted_on = index or 1, rows = { ["web.0"] = { task = "web", slot = 0, version = "v1", state = "running" } } }
    end
    local function held(ports, changes)
      local made = replica("web", 0, changes)
      made.ports = ports
      return made
    end
    local function on_a(fields) return { node("a", fields) } end

    it("gives each its own, and none that the node keeps for itself", function()
      local result = decide({
        nodes = on_a({ ports = { first = 20000, last = 20002 }, reserved_ports = { [20001] = true } }),
        tasks = { task("web", { replication = 3, max_per_node = 3, ports = { { name = "x" } } }) },
      })
      local seen = {}
      for _, one in ipairs(result.desired.a) do seen[one.ports.x] = true end
      assert.same({ [20000] = true, [20002] = true }, seen)
    end)

    it("changes what does not suit, keeps what does", function()
      local result = decide({
        nodes = on_a({ ports = RANGE, status = running() }), tasks = { task("web", { ports = wanted }) },
        held = { a = { held({ http = 80, admin = 20007, old = 20001 }) } },
      })
      assert.same({ http = 8080, admin = 20007 }, result.desired.a[1].ports)
      local same = decide({
        nodes = on_a({ ports = RANGE, status = running() }), tasks = { task("web", { ports = wanted }) },
        held = { a = { held({ http = 8080, admin = 20007 }) } },
      })
      assert.same({}, same.changes)
    end)

    it("takes them away when they are not wanted any more", function()
      local result = decide({
        nodes = on_a({ ports = RANGE, status = running() }), tasks = { task("web") }, held = { a = { held({ http = 8080 }) } },
      })
      assert.is_nil(result.desired.a[1].ports)
    end)

    it("leaves a slot as it is where its new ports are taken, and says so", function()
      local other = replica("other", 0)
      other.ports = { http = 8080 }
      local result, engine = decide({
        nodes = on_a({ ports = RANGE, status = running() }),
        tasks = { task("other", { ports = { wanted[1] } }), task("web", { ports = wanted }) },
        held = { a = { other, held({ http = 80 }) } },
      })
      assert.same({}, result.changes)
      local text = require("appmgr.planner.reasons").sentence(engine:task_state("web").reasons, 1)
      assert.truthy(text:find("slot 0 stays as it was on a", 1, true), text)
      assert.truthy(text:find("port 8080 (http) is taken", 1, true), text)
    end)
  end)
end)
