--- Which replicas move for balance, when, and how many.
local Balancing = require("spec.support.balancing")
local appraisal = require("appmgr.planner.engine.appraisal")
local placing = require("spec.support.placing")

--- A cluster with so many tasks of one replica on a and b, and c that joined afterwards.
local function joined(tasks, policy, terms)
  local cluster = Balancing.new(policy or "spread", terms)
  cluster:node("a")
  cluster:node("b")
  for number = 1, tasks do cluster:task(("t%02d"):format(number)) end
  assert.is_nil((cluster.arena:settle()))
  cluster:node("c")
  return cluster
end

describe("moves for balance", function()
  it("are none where nobody asked for them", function()
    local cluster = joined(12)
    assert.is_nil((cluster.arena:settle()))
    assert.same({ a = 6, b = 6, c = 0 }, cluster:counts())
  end)

  it("give a node that joins its share, and are as few as can be", function()
    local cluster = joined(12)
    assert.equal("nothing would be better off elsewhere", cluster:balance())
    assert.same({ a = 4, b = 4, c = 4 }, cluster:counts())
    assert.equal(4, #cluster.moves)
  end)

  it("are at most so many within an interval", function()
    local cluster = joined(12, "spread", { max_moves = 3, interval_seconds = 100 })
    cluster:balance()
    assert.equal(4, #cluster.moves)
    assert.is_true(cluster.moves[4].at >= cluster.moves[1].at + 100)
    assert.is_true(cluster.moves[3].at < cluster.moves[1].at + 100)
  end)

  it("begin again only when those before have ended", function()
    local cluster = joined(12, "spread", { max_moves = 3 })
    local result = cluster.arena:step(true)
    assert.equal(3, #result.balance.moves)
    assert.equal("3 moves were just begun", result.balance.text)
    assert.equal("t01.0 moves from a to c as t01.1: score -5 → 0", result.balance.moves[1])
    cluster.arena.engine:put_status("c", nil)
    cluster.arena.now = cluster.arena.now + 1000
    result = cluster.arena.engine:decide(cluster.arena.now, nil, cluster.arena.terms)
    assert.same({}, result.changes)
    assert.equal("under way: t01.0 moves from a to t01.1 on c", result.balance.text)
  end)

  it("take from who has most first", function()
    local cluster = Balancing.new("spread", { max_moves = 1 })
    cluster:node("a")
    for number = 1, 9 do cluster:task("big" .. number) end
    cluster.arena:settle()
    cluster:node("b")
    for number = 1, 5 do cluster:task("late" .. number, { constraints = { { attribute = "node.name", operator = "=", value = "b" } } }) end
    cluster.arena:settle()
    assert.same({ a = 9, b = 5 }, cluster:counts())
    cluster:node("c")
    cluster:balance()
    for _, moved in ipairs(cluster.moves) do assert.equal("a", moved.from) end
    assert.same({ a = 5, b = 5, c = 4 }, cluster:counts())
    assert.equal(4, #cluster.moves)
  end)

  it("are as few when many begin at once: each is chosen when those before it count", function()
    local cluster = Balancing.new("spread", { max_moves = 20 })
    cluster:node("a")
    for number = 1, 9 do cluster:task("early" .. number) end
    cluster.arena:settle()
    cluster:node("b")
    for number = 1, 8 do cluster:task("late" .. number) end
    cluster.arena:settle()
    assert.same({ a = 9, b = 8 }, cluster:counts())
    cluster:node("c")
    cluster:balance()
    assert.equal(5, #cluster.moves)
    for _, moved in ipairs(cluster.moves) do assert.equal(cluster.moves[1].at, moved.at) end
  end)

  it("never go to where the replica is", function()
    local cluster = Balancing.new("binpack")
    cluster:node("a")
    cluster:task("web", { replication = 2, max_per_node = 3, resources = { cpu = 500 } })
    cluster.arena:settle()
    cluster:node("b")
    cluster:balance()
    assert.same({}, cluster.moves)
    assert.same({ a = 2, b = 0 }, cluster:counts())
  end)

  it("need the margin", function()
    local cluster = joined(12, "spread", { margin = 0.5 })
    cluster:balance()
    -- Two are half of four, and worth it; three are not.
    assert.same({ a = 4, b = 5, c = 3 }, cluster:counts())
    cluster = joined(12, "spread", { margin = 1.5 })
    assert.equal("nothing would be better off elsewhere", cluster:balance())
    assert.same({}, cluster.moves)
  end)

  it("are looked for again when the terms are others", function()
    local cluster = joined(12, "spread", { margin = 1.5 })
    cluster:balance()
    assert.same({}, cluster.moves)
    cluster.arena.terms = setmetatable({ margin = 0.1 }, { __index = cluster.arena.terms })
    cluster:balance()
    assert.equal(4, #cluster.moves)
  end)

  it("leave alone what may not run twice, runs everywhere or now and then, or is not to be moved", function()
    local cluster = Balancing.new("spread")
    cluster:node("a")
    cluster:task("once", { on_disconnect = { stop_after_seconds = 60 } })
    cluster:task("everywhere", { replication = "all" })
    cluster:task("hourly", { content = { command = "true", start_interval_seconds = 3600 } })
    cluster:task("nightly", { content = { command = "true", schedule = "0 3 * * *" } })
    cluster:task("fixed", { rebalance = false })
    cluster.arena:settle()
    cluster:node("b")
    cluster.arena:settle()
    cluster:balance()
    assert.same({}, cluster.moves)
    cluster:task("fixed", { rebalance = true })
    cluster:balance()
    assert.equal("fixed", cluster.moves[1].task)
  end)

  it("follow what a task wishes for itself before the score", function()
    local cluster = Balancing.new("spread")
    cluster:node("a", { labels = { disk = "hdd" } })
    cluster:task("web", { affinities = { { attribute = "label.disk", operator = "=", value = "ssd", weight = 50 } } })
    local only_ssd = { { attribute = "label.disk", operator = "=", value = "ssd" } }
    cluster:task("other", { constraints = only_ssd, replication = 2, max_per_node = 2 })
    cluster.arena:settle()
    cluster:node("b", { labels = { disk = "ssd" } })
    cluster.arena:settle()
    cluster:balance()
    assert.equal("b", cluster.arena:places()["web.1"])
    assert.same({ "wish", 0, 1 }, { cluster.moves[1].by, cluster.moves[1].before, cluster.moves[1].after })
    assert.equal(1, #cluster.moves)
  end)

  it("spread a task over a zone that joins", function()
    local cluster = Balancing.new("spread")
    for _, name in ipairs({ "a1", "a2", "a3", "a4" }) do cluster:node(name, { labels = { zone = "a" } }) end
    cluster:task("web", { replication = 4, spread = { "zone" } })
    cluster.arena:settle()
    for _, name in ipairs({ "b1", "b2", "b3", "b4" }) do cluster:node(name, { labels = { zone = "b" } }) end
    cluster:balance()
    local zones = { a = 0, b = 0 }
    for _, host in pairs(cluster.arena:places()) do zones[host:sub(1, 1)] = zones[host:sub(1, 1)] + 1 end
    assert.same({ a = 2, b = 2 }, zones)
    assert.equal(2, #cluster.moves)
  end)

  it("go to no node that is drained, not eligible, full, or avoids the task", function()
    local cluster = joined(12)
    cluster.arena:put_intent("c", { eligible = false })
    cluster:balance()
    cluster.arena:put_intent("c", { drain = true })
    cluster:balance()
    cluster.arena:put_intent("c", nil)
    cluster:node("c", { capacity = { cpu = 1, memory_mb = 1 } })
    cluster:balance()
    assert.same({ a = 5, b = 6, c = 1 }, cluster:counts())
    local avoid = {}
    for number = 1, 12 do avoid[("t%02d"):format(number)] = 2000000 end
    cluster:node("c", { avoid = avoid })
    cluster:balance()
    assert.equal(1, #cluster.moves)
  end)

  it("keep tasks apart as they ask, also while both are there", function()
    local cluster = Balancing.new("spread", { max_moves = 5 })
    cluster:node("a", { labels = { rack = "r1" } })
    cluster:task("web", { apart_from = { { task = "web", per = "label.rack" } } })
    for number = 1, 6 do cluster:task("t" .. number, { rebalance = false }) end
    cluster.arena:settle()
    cluster:node("b", { labels = { rack = "r1" } })
    cluster:balance()
    assert.same({}, cluster.moves)
    cluster:node("c", { labels = { rack = "r2" } })
    cluster:balance()
    assert.equal("c", cluster.moves[1].to)
  end)

  it("wait while a replica is on its way, a node is away, or a policy fails", function()
    local function text_with(change)
      local cluster = joined(12)
      change(cluster)
      local result = cluster.arena:step(true)
      assert.same({}, result.balance.moves)
      return result.balance.text
    end
    assert.equal('waits for task "new", which is changing', text_with(function(cluster) cluster:task("new") end))
    assert.equal('waits for task "t01", which is changing', text_with(function(cluster) cluster.arena:drop_task("t01") end))
    assert.equal('waits for node "d", which is away', text_with(function(cluster)
      cluster.arena.engine:put_node(placing.node("d", { gone = true }))
    end))
    assert.equal('waits for task "t01", which is changing', text_with(function(cluster)
      cluster.arena:put_intent("a", { drain = true })
    end))
  end)

  it("do not wait for what finds no place", function()
    local cluster = joined(12)
    cluster:task("nowhere", { condition = { zone = "x" } })
    cluster:balance()
    assert.equal(4, #cluster.moves)
  end)

  it("count as starts", function()
    local cluster = joined(12, "spread", { max_moves = 5 })
    local arena = cluster.arena
    assert.equal(1, #arena.engine:decide(arena.now, 1, arena.terms).balance.moves)
  end)

  it("are none with a policy that says whose turn it is", function()
    local text = joined(12, "round_robin"):balance()
    assert.equal('policy "round_robin" says whose turn it is, not where a replica is better off: nothing is moved for it', text)
  end)

  it("are none of a task for which the policy fails", function()
    local policy = placing.policy([[function(task, node)
      if task.name == "t01" and node.replicas > 4 then error("no") end
      return -node.replicas
    end]])
    local cluster = joined(12, policy)
    cluster:balance()
    assert.equal("nothing would be better off elsewhere", cluster:balance())
    for _, moved in ipairs(cluster.moves) do assert.not_equal("t01", moved.task) end
    assert.same({ a = 4, b = 4, c = 4 }, cluster:counts())
  end)

  it("take to where it may be what the policy would not put where it is", function()
    local policy = placing.policy("function(_, node) return -node.replicas end",
      'reads = { "node.replicas" }, filter = function(task, node) return task.name ~= "t01" or node.name ~= "a" or node.replicas == 0 end,')
    local cluster = Balancing.new(policy)
    cluster:node("a")
    cluster:task("t01")
    cluster:task("t02")
    cluster.arena:settle()
    cluster:node("b", { capacity = { cpu = 4000, memory_mb = 4000 } })
    cluster:balance()
    assert.same({ a = 1, b = 1 }, cluster:counts())
  end)

  it("come to an end with a policy that never has enough of them", function()
    -- A cat goes where the mouse is, the mouse where the cat is not.
    local policy = placing.policy([[function(task, node)
      if task.name == "cat" then return (node.used.cheese or 0) end
      return -(node.used.claws or 0)
    end]], 'reads = { "node.used" },')
    local cluster = Balancing.new(policy)
    for _, name in ipairs({ "a", "b", "c" }) do cluster:node(name, { capacity = { cheese = 9, claws = 9, cpu = 100, memory_mb = 100 } }) end
    cluster:task("cat", { resources = { claws = 1 } })
    cluster:task("mouse", { resources = { cheese = 1 } })
    cluster.arena:settle()
    cluster:balance()
    assert.is_true(#cluster.moves <= 2)
    -- Something is another thing than before: each may move once more.
    cluster:node("d", { capacity = { cheese = 9, claws = 9, cpu = 100, memory_mb = 100 } })
    cluster:balance()
    assert.is_true(#cluster.moves <= 4)
  end)

  it("stay few when a node that joined is lost, and are none when all is even", function()
    local cluster = joined(12)
    cluster:balance()
    cluster.arena:drop_node("c")
    cluster.arena:settle()
    assert.equal("nothing would be better off elsewhere", cluster:balance())
    assert.same({ a = 6, b = 6 }, cluster:counts())
    assert.equal(4, #cluster.moves)
  end)
end)

describe("what is gained", function()
  local function gain(margin, wish, score, other_wish, other_score)
    return appraisal.gain(margin, { wish = wish, score = score, other_wish = other_wish, other_score = other_score })
  end

  it("is a wish by the difference, a score by its part", function()
    assert.same({ "wish", 0.5 }, { gain(0.1, 0, -3, 0.5, -9) })
    assert.is_nil(gain(0.6, 0, -3, 0.5, -9))
    assert.same({ "score", 1 }, { gain(0.1, 0, -3, 0, -2) })
    assert.is_nil(gain(0.5, 0, -3, 0, -2))
    assert.is_nil(gain(0, 0, -3, 0, -3))
    assert.same({ "score", 0.25 }, { gain(0.1, 0, 0, 0, 0.25) })
    assert.same({ "score", math.huge }, { gain(0.1, 0, false, 0, -9) })
  end)

  it("is nothing where a wish speaks against it", function()
    assert.is_nil(gain(0.1, 0.5, -9, 0, -1))
    assert.same({ "score", 8 }, { gain(0.1, 0.5, -9, 0.55, -1) })
  end)

  it("is nothing in comparison with what is no number", function()
    assert.is_nil(gain(0.1, 0, -math.huge, 0, -math.huge))
    assert.same({ "score", math.huge }, { gain(0, 0, -math.huge, 0, 1) })
  end)

  it("is never something both ways", function()
    local random = require("appmgr.workbench.random").new(1)
    for _ = 1, 20000 do
      local margin = random(0, 3) / 10
      local wish, score, other_wish, other_score = random(-2, 2) / 4, random(-4, 4), random(-2, 2) / 4, random(-4, 4)
      assert.is_false(gain(margin, wish, score, other_wish, other_score) ~= nil
        and gain(margin, other_wish, other_score, wish, score) ~= nil)
    end
  end)
end)
