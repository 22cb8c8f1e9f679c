local Deltas = require("appmgr.planner.deltas")
local Engine = require("appmgr.planner.engine")
local placing = require("spec.support.placing")

local node, task, replica = placing.node, placing.task, placing.replica

local DRAIN = { drain = true }

--- What a host shows to run: everything that it holds and that stays.
local function shown(held)
  local rows = {}
  for _, item in ipairs(held) do
    if not item.leaving then rows[item.task .. "." .. item.slot] = { version = item.version, state = "running" } end
  end
  return { acted_on = 1, rows = rows }
end

local function decide(nodes, tasks, held, showing)
  for _, item in ipairs(nodes) do
    if showing then item.status = shown(held[item.name] or {}) end
  end
  local result, engine = placing.decide({ nodes = nodes, tasks = tasks, held = held })
  return placing.places(result.desired), result, engine
end

describe("what a drained node has", function()
  it("stays until its successor is shown to run", function()
    local tasks = { task("web", { replication = 2 }) }
    local held = { a = { replica("web", 0) }, b = { replica("web", 1) } }
    local places, result = decide({ node("a", DRAIN), node("b"), node("c") }, tasks, held, true)
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, places)
    assert.same({ c = true }, result.status_hosts)
    held.c = { replica("web", 2, { since = 5 }) }
    assert.same(places, (decide({ node("a", DRAIN), node("b"), node("c") }, tasks, held)))
    places, result = decide({ node("a", DRAIN), node("b"), node("c") }, tasks, held, true)
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c" }, places)
    assert.same({ "drain" }, { result.stops[1].reason.code })
    held.a = { replica("web", 0, { leaving = true }) }
    places = decide({ node("a", DRAIN), node("b"), node("c") }, tasks, held)
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c" }, places)
  end)

  it("goes one by one as successors run", function()
    local tasks = { task("web", { replication = 2, max_per_node = 2 }) }
    local held = {
      a = { replica("web", 0), replica("web", 1) }, b = { replica("web", 2, { since = 5 }), replica("web", 3, { since = 5 }) },
    }
    local nodes = { node("a", DRAIN), node("b") }
    nodes[2].status = { acted_on = 1, rows = { ["web.2"] = { version = "v1", state = "running" } } }
    local places = placing.places(placing.decide({ nodes = nodes, tasks = tasks, held = held }).desired)
    assert.same({ "web.0@a leaving", "web.1@a", "web.2@b", "web.3@b" }, places)
  end)

  it("stops and is pending where there is no room elsewhere", function()
    local held = { a = { replica("web", 0) }, b = { replica("web", 1) } }
    local places, _, engine = decide({ node("a", DRAIN), node("b") }, { task("web", { replication = 2 }) }, held, true)
    assert.same({ "web.0@a leaving", "web.1@b" }, places)
    assert.equal(1, #engine:task_state("web").pending)
    held.a = {}
    places, _, engine = decide({ node("a", DRAIN), node("b") }, { task("web", { replication = 2 }) }, held, true)
    assert.same({ "web.1@b" }, places)
    assert.equal("drain", engine:task_state("web").reasons[1].code)
  end)

  it("waits for room where that is wanted, until the deadline", function()
    local held = { a = { replica("web", 0) }, b = { replica("web", 1) } }
    local drain = { drain = true, wait_for_room = true, drain_deadline = 2000 }
    local places, result = decide({ node("a", drain), node("b") }, { task("web", { replication = 2 }) }, held, true)
    assert.same({ "web.0@a", "web.1@b" }, places)
    assert.equal(2000, result.wake_at)
    drain.drain_deadline = 1000
    places, result = decide({ node("a", drain), node("b") }, { task("web", { replication = 2 }) }, held, true)
    assert.same({ "web.0@a leaving", "web.1@b" }, places)
    assert.is_nil(result.wake_at)
  end)

  it("stays where a policy cannot be asked", function()
    local result = Deltas.decide_once(placing.snapshot({
      nodes = { node("a", DRAIN), node("b") }, tasks = { task("web") }, held = { a = { replica("web", 0) } },
    }), nil, { policy_error = "none" })
    assert.same({}, result.changes)
  end)

  it("leaves first where it must never run twice, and where it runs everywhere", function()
    local once = task("web", { on_disconnect = { stop_after_seconds = 60 } })
    local everywhere = task("log", { replication = "all" })
    local held = { a = { replica("log", 0), replica("web", 0) } }
    local places = decide({ node("a", DRAIN), node("b") }, { once, everywhere }, held, true)
    assert.same({ "log.0@a leaving", "log.1@b", "web.0@a leaving" }, places)
  end)

  it("needs no successor to run what is disabled, nor where the task has shrunk", function()
    local held = { a = { replica("web", 0) }, b = { replica("web", 1) } }
    local tasks = { task("web", { application = { status = 0, argv = { "/x" }, env = {} } }) }
    assert.same({ "web.0@a leaving", "web.1@b" }, (decide({ node("a", DRAIN), node("b") }, tasks, held)))
    held.b = {}
    assert.same({ "web.0@a leaving" },
      (decide({ node("a", DRAIN), node("b") }, { task("web", { replication = 0 }) }, held)))
  end)
end)

describe("what a node that is away has", function()
  it("counts as placed, whatever else is wrong with the node; it gets nothing more", function()
    local away = node("a", { gone = true, drain = true, eligible = false })
    local tasks = { task("web", { replication = 2, max_per_node = 2 }) }
    assert.same({ "web.0@a", "web.1@b" }, (decide({ away, node("b") }, tasks, { a = { replica("web", 0) } })))
  end)
end)

describe("starts", function()
  it("are as many as they may be, and go on the next time", function()
    local engine = Engine.new({ policy = placing.policy(placing.SPREAD) })
    Deltas.new(engine):feed(placing.snapshot({
      tasks = { task("a", { replication = 2 }), task("b", { replication = 2 }), task("c", { replication = 1 }) },
    }))
    local result = engine:decide(1000, 3)
    assert.equal(3, #placing.places(result.changes))
    assert.is_true(result.is_rate_limited)
    assert.equal("start_rate", engine:task_state("c").reasons[1].code)
    for host, replicas in pairs(result.changes) do engine:put_held(host, replicas, 1) end
    result = engine:decide(1001, 3)
    assert.is_false(result.is_rate_limited)
    assert.same({}, engine:unsettled())
  end)
end)
