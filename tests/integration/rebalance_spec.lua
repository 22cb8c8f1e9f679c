--- A node that joins: nothing moves to it unless the operators ask for it; then a few at a time, and nothing stops before its
-- successor runs.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

local TASKS = 8
local INTERVAL_S = 4

describe("a node that joins", function()
  local test, consul, agents

  local function name_of(number) return "t" .. number end

  --- How many replicas each node has that stay, and the records of those that were moved.
  local function placed()
    local counts, moved = {}, {}
    for node in pairs(agents) do
      counts[node] = 0
      for _, replica in ipairs((consul:document("assignment/" .. node) or {replicas = {}}).replicas) do
        if not replica.leaving then counts[node] = counts[node] + 1 end
        moved[#moved + 1] = replica.moved
      end
    end
    return counts, moved
  end

  local function expect_running()
    for number = 1, TASKS do
      local running = #test:sleepers(name_of(number))
      assert.is_true(running >= 1, ("%d of %s run"):format(running, name_of(number)))
    end
  end

  local function leader() return agents[consul:leader()] end

  setup(function()
    test, agents = harness.open(), {}
    consul = test:start_consul()
    for _, node in ipairs{"alpha", "beta"} do agents[node] = test:join(node, consul) end
    for number = 1, TASKS do
      consul:put("task/" .. name_of(number), {content = {command = test:sleeper(name_of(number))}, replication = 1})
    end
    for number = 1, TASKS do test:wait_for_sleepers(name_of(number), 1) end
  end)

  teardown(function() test:close() end)

  it("gets nothing of what runs, unless it is asked for", function()
    agents.gamma = test:join("gamma", consul)
    test:expect_decision(consul)
    local counts, moved = placed()
    assert.same({alpha = 4, beta = 4}, {alpha = counts.alpha, beta = counts.beta})
    assert.same({}, moved)
  end)

  it("gets its share where it is asked for: so many in an interval, with no gap", function()
    for _, agent in pairs(agents) do
      agent:configure({Policy = {name = "spread", rebalance = {max_moves = 1, interval_seconds = INTERVAL_S}}})
      agent.process:kill("sighup")
    end
    loop.wait_for("gamma has its share", 40000, function()
      expect_running()
      local counts = placed()
      return counts.gamma == 2 and counts.alpha == 3 and counts.beta == 3,
        ("%d, %d, %d"):format(counts.alpha, counts.beta, counts.gamma)
    end)
    for number = 1, TASKS do test:wait_for_sleepers(name_of(number), 1) end
    local _, moved = placed()
    assert.equal(2, #moved)
    assert.is_true(math.abs(moved[1].at - moved[2].at) >= INTERVAL_S)
    leader():wait_for_log("rebalance: t1.0 moves from alpha to gamma as t1.1: score -3 → 0")
  end)

  it("is where they stay, and says why they are there", function()
    loop.wait_for("the leader is content", 20000, function()
      local text = leader():json("status").leading.rebalance
      return text == "nothing would be better off elsewhere", text
    end)
    local before = placed()
    test:expect_decision(consul)
    assert.same(before, (placed()))
    local explained = agents.beta:cli("explain", "t1").stdout
    assert.truthy(explained:find("slot 1 on gamma: moved for balance from alpha: score -3 → 0", 1, true), explained)
    assert.truthy(agents.beta:cli("plan").stdout:find("rebalance: nothing would be better off elsewhere", 1, true))
  end)

  it("is not waited for when it goes; what it had runs elsewhere", function()
    assert.equal(0, agents.gamma:cli("leave").code)
    for number = 1, TASKS do test:wait_for_sleepers(name_of(number), 1, 20000) end
    agents.gamma = nil
    local counts = placed()
    assert.equal(TASKS, counts.alpha + counts.beta)
  end)
end)
