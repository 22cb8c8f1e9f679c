local placing = require("spec.support.placing")

local node, task, replica = placing.node, placing.task, placing.replica

local PREEMPTING = 'preempts = true, reads = { "node.replicas" },'

local function cpu(amount) return { capacity = { cpu = amount } } end

local function sized(name, amount, priority, fields)
  local result = { resources = { cpu = amount }, priority = priority }
  for key, value in pairs(fields or {}) do result[key] = value end
  return task(name, result)
end

local function decide(fields, extra)
  local result, engine = placing.decide(fields, placing.policy(placing.SPREAD, extra or PREEMPTING))
  return placing.places(result.desired), engine, result
end

describe("preemption", function()
  local held = { a = { replica("low", 0), replica("lower", 0) }, b = { replica("mid", 0) } }
  local tasks = { sized("low", 400, 1), sized("lower", 400, 0), sized("mid", 900, 5) }
  local nodes = { node("a", cpu(1000)), node("b", cpu(1000)) }

  local function with(entry)
    return { nodes = nodes, tasks = { tasks[1], tasks[2], tasks[3], entry }, held = held }
  end

  it("takes the lowest priority, and no more than needed", function()
    local places, engine, result = decide(with(sized("high", 500, 9)))
    assert.same({ "low.0@a", "lower.0@a leaving", "mid.0@b" }, places)
    assert.equal("making_room", engine:task_state("high").reasons[1].code)
    assert.equal("preempted", result.stops[1].reason.code)
    assert.is_true(result.status_hosts.a)
    places = decide(with(sized("high", 900, 9)))
    assert.same({ "low.0@a leaving", "lower.0@a leaving", "mid.0@b" }, places)
  end)

  it("spares what was to go when something larger has to go anyway", function()
    local fields = with(sized("high", 600, 9))
    fields.tasks[1], fields.tasks[2] = sized("low", 700, 1), sized("lower", 100, 0)
    assert.same({ "low.0@a leaving", "lower.0@a", "mid.0@b" }, (decide(fields)))
  end)

  it("happens for nothing that would not fit anyway, nor for an equal, nor for a policy that did not ask for it", function()
    local settled = { "low.0@a", "lower.0@a", "mid.0@b" }
    assert.same(settled, (decide(with(sized("high", 1001, 9)))))
    assert.same(settled, (decide(with(sized("high", 500, 0)))))
    assert.same(settled, (decide(with(sized("high", 500, 9)), 'reads = { "node.replicas" },')))
    assert.same(settled, (decide(with(sized("high", 500, 9, { condition = { zone = "x" } })))))
    local refusing = PREEMPTING .. "filter = function(_, node) return node.name == 'c' end,"
    assert.same(settled, (decide(with(sized("high", 500, 9)), refusing)))
  end)

  it("keeps the room for whom it was made, and takes nobody else meanwhile", function()
    local fields = with(sized("high", 500, 9))
    fields.held = {
      a = { replica("low", 0), replica("lower", 0, { leaving = true, preempted = true }) }, b = { replica("mid", 0) },
    }
    fields.tasks[5] = sized("small", 200, 0)
    local places = decide(fields)
    assert.same({ "low.0@a", "lower.0@a leaving", "mid.0@b" }, places)
    -- It has left.
    fields.held = { a = { replica("low", 0) }, b = { replica("mid", 0) } }
    places = decide(fields)
    assert.same({ "high.0@a", "low.0@a", "mid.0@b" }, places)
  end)

  it("makes a port free", function()
    local http = { { name = "http", number = 80 } }
    local places = decide({
      nodes = { node("a", cpu(1000)) }, held = { a = { replica("old", 0, { ports = { http = 80 } }), replica("other", 0) } },
      tasks = { sized("old", 10, 0, { ports = http }), sized("other", 10, 0), sized("new", 10, 1, { ports = http }) },
    })
    assert.same({ "old.0@a leaving", "other.0@a" }, places)
  end)
end)
