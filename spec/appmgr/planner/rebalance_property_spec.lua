--- Random clusters in which moves for balance are allowed, from fixed seeds: what is promised holds whatever there is.
-- That no rule is broken, nothing is missing meanwhile and no more begin than may is looked at with every decision (see
-- spec/support/balancing.lua).
local Balancing = require("spec.support.balancing")
local Deltas = require("appmgr.planner.deltas")
local Engine = require("appmgr.planner.engine")
local assignment = require("appmgr.assignment")
local canonical = require("appmgr.planner.rules.canonical")
local cases = require("appmgr.workbench.cases")
local core = require("spec.support.core")
local generator = require("appmgr.workbench.random").new
local placing = require("spec.support.placing")

local SPITEFUL = [[function(task, node)
  return (node.replicas * 7 + #task.name * node.task_replicas + (task.name:byte(2) or 0) * (node.used.cpu or 0)) % 13
end]]

local POLICIES = {
  spread = function() return "spread" end, binpack = function() return "binpack" end,
  zone_spread = function() return "zone_spread" end, least_loaded = function() return "least_loaded" end,
  pinned = function() return "pinned" end, example_custom = function() return "example_custom" end,
  ["a policy that wants something else each time"] = function()
    return placing.policy(SPITEFUL, 'reads = { "node.replicas", "node.task_replicas", "node.used" },')
  end,
  ["a policy that preempts"] = function()
    return placing.policy(placing.SPREAD, 'preempts = true, reads = { "node.replicas" },')
  end,
}

local function cluster_of(case, policy, terms)
  local cluster = Balancing.new(policy, terms)
  for name, intent in pairs(case.intents) do cluster.arena.intents[name] = intent end
  for _, name in ipairs(canonical.sorted_keys(case.nodes)) do cluster:node(name, case.nodes[name]) end
  for _, name in ipairs(canonical.sorted_keys(case.tasks)) do cluster:task(name, case.tasks[name]) end
  return cluster
end

local function random_case(seed)
  local case, other = cases.random(seed), cases.random(seed + 1000)
  for name, document in pairs(other.tasks) do case.tasks["u" .. name] = document end
  return case
end

-- One that joins, as machines are.
local function join(cluster, random, name)
  cluster:node(name, {
    labels = { zone = ({ "a", "b", "c" })[random(1, 3)], arch = "x86_64" }, capacity = { cpu = 8000, memory_mb = 8192 },
    ports = { first = 20000, last = 20009 },
  })
end

for name, make in pairs(POLICIES) do
  describe("moves for balance with " .. name, function()
    it("improve by the margin, end, and are never taken back", function()
      for seed = 1, 20 do
        local random, context = generator(seed), "seed " .. seed
        local terms = { max_moves = random(1, 4), margin = ({ 0, 0.1, 0.5 })[random(1, 3)] }
        local cluster = cluster_of(random_case(seed), make(), terms)
        cluster.arena:settle()
        join(cluster, random, "z1")
        cluster:balance()
        local total = #cluster.moves
        assert.is_true(total <= cluster:total(), context)
        for _, moved in ipairs(cluster.moves) do
          if moved.before and moved.after then assert.is_true(moved.after > moved.before, context) end
          local part = moved.before and (moved.by == "wish" and 1 or math.abs(moved.before)) or 0
          -- What stands there is rounded.
          assert.is_true(not moved.before or moved.after - moved.before >= terms.margin * part * (1 - 1e-4), context)
        end
        -- At rest it stays so, also for a leader with an empty head.
        local again = Balancing.new(make(), terms)
        again.arena.intents, again.arena.now = cluster.arena.intents, cluster.arena.now + 1000
        for node, document in pairs(cluster.arena.documents) do again:node(node, document) end
        for task, document in pairs(cluster.documents) do again:task(task, document) end
        for host, replicas in pairs(cluster.arena.held) do again.arena:hold(host, replicas) end
        again:balance()
        assert.same(cluster.arena:places(), again.arena:places(), context)
      end
    end)
  end)
end

describe("moves for balance", function()
  it("even out single replicas with the fewest that do", function()
    for seed = 1, 20 do
      local random, context = generator(seed), "seed " .. seed
      local cluster = Balancing.new("spread", { max_moves = random(1, 5), margin = 0 })
      for number = 1, random(1, 4) do cluster:node("n" .. number) end
      for number = 1, random(1, 30) do cluster:task(("t%02d"):format(number)) end
      cluster.arena:settle()
      for number = 1, random(1, 3) do cluster:node("z" .. number) end
      local before, counts, total = cluster:counts(), {}, 0
      for _, count in pairs(before) do counts[#counts + 1], total = count, total + count end
      table.sort(counts, function(a, b) return a > b end)
      -- The fullest keep what is over when all have the same.
      local fewest = 0
      for position, count in ipairs(counts) do
        fewest = fewest + math.max(0, count - total // #counts - (position <= total % #counts and 1 or 0))
      end
      cluster:balance()
      local least, most = math.huge, 0
      for _, count in pairs(cluster:counts()) do least, most = math.min(least, count), math.max(most, count) end
      assert.is_true(most - least <= 1, context)
      assert.equal(fewest, #cluster.moves, context)
    end
  end)

  it("are the same for an engine that lives on and one that begins anew, whatever is written of its decisions", function()
    for seed = 1, 20 do
      local random = generator(seed)
      local case = random_case(seed)
      local cluster = cluster_of(case, "spread")
      cluster.arena:settle()
      local arena = cluster.arena
      local held, index, marks = arena.held, arena.forward.index, arena.forward.marks
      local terms = { max_moves = 2, interval_seconds = 3, margin = 0.1, digest = core.codec.sha256 }
      local function snapshot(now)
        local nodes, tasks = {}, {}
        for _, name in ipairs(canonical.sorted_keys(arena.documents)) do
          local node = {}
          for key, value in pairs(arena.engine.board.sites[name].node) do node[key] = value end
          local rows = {}
          for _, item in ipairs(held[name] or {}) do
            local row = { version = item.version, state = "running" }
            if not item.leaving then rows[item.task .. "." .. item.slot] = row end
          end
          node.status = random(1, 3) > 1 and { acted_on = index[name] or 0, rows = rows } or nil
          nodes[#nodes + 1] = node
        end
        for _, name in ipairs(canonical.sorted_keys(cluster.documents)) do tasks[#tasks + 1] = arena.engine:entry(name) end
        return placing.snapshot({ now = now, nodes = nodes, tasks = tasks, held = held, assignment_index = index, marks = marks })
      end
      local engine = Engine.new({ policy = placing.stock("spread") })
      local deltas, now = Deltas.new(engine), 2000000
      for step = 1, 25 do
        if random(1, 6) == 1 then join(cluster, random, "z" .. random(1, 3)) end
        -- More than an interval and a pause, so that none of the two has to wait.
        now = now + 20
        local seen = snapshot(now)
        local fresh = Engine.new({ policy = placing.stock("spread") })
        Deltas.new(fresh):feed(seen)
        deltas:feed(seen)
        local result, other = engine:decide(now, nil, terms), fresh:decide(now, nil, terms)
        local context = ("seed %d, step %d"):format(seed, step)
        assert.same(other.balance.moves, result.balance.moves, context)
        assert.same(canonical.sorted_keys(other.changes), canonical.sorted_keys(result.changes), context)
        for host, replicas in pairs(other.changes) do
          assert.equal(assignment.encode(replicas, core.json), assignment.encode(result.changes[host], core.json), context)
        end
        for host, replicas in pairs(result.changes) do
          if random(1, 4) > 1 then arena:hold(host, replicas) end
        end
      end
    end
  end)
end)
