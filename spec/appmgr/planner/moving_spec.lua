--- What becomes of a replica that moves for balance, whatever happens meanwhile.
local placing = require("spec.support.placing")

local node, task, replica = placing.node, placing.task, placing.replica

local MOVED = { from = "a", slot = 0, since = 1, at = 900, by = "score", before = -3, after = -1 }

local function moved(fields)
  local made = replica("web", 2, { since = 900, moved = MOVED })
  for key, value in pairs(fields or {}) do made[key] = value end
  return made
end

--- web.0 on a moves to c as web.2; web.1 is on b.
local function under_way(fields)
  return { a = { replica("web", 0, fields) }, b = { replica("web", 1) }, c = { moved() } }
end

local function running(held, acted_on)
  local rows = {}
  for _, item in ipairs(held) do
    if not item.leaving then rows[item.task .. "." .. item.slot] = { version = item.version, state = "running" } end
  end
  return { acted_on = acted_on or 1, rows = rows }
end

local function three(fields)
  local nodes = {}
  for position, name in ipairs({ "a", "b", "c" }) do nodes[position] = node(name, fields and fields[name]) end
  return nodes
end

local function decide(held, options)
  options = options or {}
  local nodes = options.nodes or three()
  for _, item in ipairs(nodes) do
    if options.showing then item.status = running(held[item.name] or {}) end
  end
  local result, engine = placing.decide({
    nodes = nodes, tasks = { options.task or task("web", { replication = 2 }) }, held = held,
    marks = options.marks, assignment_index = options.index,
  })
  return placing.places(result.desired), result, engine
end

describe("a replica that moves for balance", function()
  it("stays until its successor is shown to run, and then goes", function()
    local places, result = decide(under_way())
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, places)
    assert.same({ c = true }, result.status_hosts)
    places, result = decide(under_way(), { showing = true })
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c" }, places)
    assert.equal("rebalance", result.stops[1].reason.code)
    assert.equal("a", result.stops[1].holder.site.name)
  end)

  it("stays until its successor has been well for a while", function()
    local held = under_way()
    local function places_with(row, at)
      held.c[1].moved = setmetatable({ at = at }, { __index = MOVED })
      local nodes = three()
      nodes[3].status = running(held.c)
      for name, value in pairs(row) do nodes[3].status.rows["web.2"][name] = value end
      local places, result = decide(held, { nodes = nodes })
      return places[1], result.wake_at
    end
    local function has(expected, row, at) assert.same(expected, { places_with(row, at) }) end
    has({ "web.0@a", 1005 }, {}, 1000)
    has({ "web.0@a leaving" }, {}, 995)
    has({ "web.0@a" }, { health = 1 }, 900)
    has({ "web.0@a leaving" }, { health = 0, restarts = 0 }, 995)
    -- It ended once, and may again.
    has({ "web.0@a", 1050 }, { restarts = 1 }, 990)
    has({ "web.0@a leaving" }, { restarts = 1 }, 940)
    has({ "web.0@a" }, { state = "backoff", restarts = 4 }, 900)
    -- Another leader's clock was ahead.
    has({ "web.0@a leaving" }, {}, 5000)
  end)

  it("goes on leaving for a leader that does not know yet what runs", function()
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c" }, (decide(under_way({ leaving = true }))))
  end)

  it("is gone when its node shows so; its task lacks nothing meanwhile", function()
    local held = under_way({ leaving = true })
    local _, _, engine = decide(held, { showing = true })
    assert.same({}, engine:task_state("web").pending)
    local places = decide(held, { showing = true, marks = { a = { ["web.0"] = 1 } }, index = { a = 1, b = 1, c = 1 } })
    assert.same({ "web.1@b", "web.2@c" }, places)
  end)

  it("stays where its successor is gone, or leaves", function()
    local held = under_way()
    held.c = {}
    assert.same({ "web.0@a", "web.1@b" }, (decide(held, { showing = true })))
    held.c = { moved({ leaving = true }) }
    assert.same({ "web.0@a", "web.1@b", "web.2@c leaving" }, (decide(held, { showing = true })))
  end)

  it("stays where its successor keeps failing, which is told to go", function()
    local places, result = decide(under_way(), { nodes = three({ c = { avoid = { web = 2000 } } }) })
    assert.same({ "web.0@a", "web.1@b", "web.2@c leaving" }, places)
    assert.equal("rebalance", result.stops[1].reason.code)
    -- It has failed before, and runs now.
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c" },
      (decide(under_way(), { nodes = three({ c = { avoid = { web = 2000 } } }), showing = true })))
  end)

  it("stays while its own node is away", function()
    local nodes = three({ a = { gone = true } })
    local held = under_way()
    nodes[3].status = running(held.c)
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, (decide(held, { nodes = nodes })))
  end)

  it("stays while its successor's node is away", function()
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, (decide(under_way(), { nodes = three({ c = { gone = true } }) })))
  end)

  it("goes with its successor where the task wants fewer", function()
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c leaving" },
      (decide(under_way(), { task = task("web", { replication = 1 }) })))
  end)

  it("counts with its successor as one where the task wants more", function()
    local nodes = three()
    nodes[4] = node("d")
    assert.same({ "web.0@a", "web.1@b", "web.2@c", "web.3@d" },
      (decide(under_way(), { nodes = nodes, task = task("web", { replication = 3 }) })))
  end)

  it("stays when its successor has to leave its node", function()
    local nodes = three({ a = { labels = { zone = "x" } }, b = { labels = { zone = "x" } } })
    assert.same({ "web.0@a", "web.1@b", "web.2@c leaving" },
      (decide(under_way(), { nodes = nodes, task = task("web", { replication = 2, condition = { zone = "x" } }) })))
  end)

  it("stays when its successor's node is drained, which is then one too many", function()
    local nodes = three({ c = { drain = true } })
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, (decide(under_way(), { nodes = nodes })))
    assert.same({ "web.0@a", "web.1@b", "web.2@c leaving" }, (decide(under_way(), { nodes = nodes, showing = true })))
  end)

  it("leaves its drained node as any other, its successor being there", function()
    local nodes = three({ a = { drain = true } })
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, (decide(under_way(), { nodes = nodes })))
    assert.same({ "web.0@a leaving", "web.1@b", "web.2@c" }, (decide(under_way(), { nodes = nodes, showing = true })))
  end)

  it("stays as it is where the task's document cannot be used", function()
    local broken = task("web")
    broken.task, broken.errors = nil, { "broken" }
    assert.same({ "web.0@a", "web.1@b", "web.2@c" }, (decide(under_way(), { task = broken, showing = true })))
  end)

  it("leaves with the rest when the task is removed", function()
    local result = placing.decide({ held = under_way() })
    assert.same({ "web.0@a leaving", "web.1@b leaving", "web.2@c leaving" }, placing.places(result.desired))
  end)

  it("keeps its record when its successor, told to go, is to stay after all", function()
    local _, result = decide({ b = { replica("web", 1) }, c = { moved({ leaving = true }) } })
    assert.same({ "web.1@b", "web.2@c" }, placing.places(result.desired))
    assert.same(MOVED, result.desired.c[1].moved)
  end)

  it("keeps its record through a rollout, which waits for the successor, too", function()
    local _, result = decide(under_way(), { task = task("web", { replication = 2, version = "v2" }), showing = true })
    for _, item in ipairs(result.desired.c) do assert.same(MOVED, item.moved) end
  end)
end)
