--- A node that joins: nothing moves to it unless the operators ask for it; then a few at a time, and nothing stops before its
-- successor runs.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

-- The first one does not run on gamma.
local TASKS = {"picky", "t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8"}
local INTERVAL_S = 4

describe("a node that joins", function()
  local test, consul, agents

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
    for _, name in ipairs(TASKS) do
      local running = #test:sleepers(name)
      assert.is_true(running >= 1, ("%d of %s run"):format(running, name))
    end
  end

  local function expect_one_of_each()
    for _, name in ipairs(TASKS) do test:wait_for_sleepers(name, 1, 20000) end
  end

  local function command_of(name)
    if name ~= "picky" then return test:sleeper(name) end
    return 'test "$APPMGR_NODE" != gamma && exec ' .. test:sleeper(name)
  end

  local function leader() return agents[consul:leader()] end

  setup(function()
    test, agents = harness.open(), {}
    consul = test:start_consul()
    for _, node in ipairs{"alpha", "beta"} do agents[node] = test:join(node, consul) end
    for _, name in ipairs(TASKS) do
      local restart = {delay_seconds = 1, max_delay_seconds = 1}
      consul:put("task/" .. name, {content = {command = command_of(name), restart = restart}, replication = 1})
    end
    expect_one_of_each()
  end)

  teardown(function() test:close() end)

  it("gets nothing of what runs, unless it is asked for", function()
    agents.gamma = test:join("gamma", consul)
    test:expect_decision(consul)
    local counts, moved = placed()
    assert.same({alpha = 5, beta = 4}, {alpha = counts.alpha, beta = counts.beta})
    assert.same({}, moved)
  end)

  it("gets its share where it is asked for: so many in an interval, with no gap, and not what does not run there", function()
    for _, agent in pairs(agents) do
      agent:configure({Policy = {name = "spread", rebalance = {max_moves = 1, interval_seconds = INTERVAL_S}}})
      agent.process:kill("sighup")
    end
    loop.wait_for("gamma has its share", 60000, function()
      expect_running()
      local counts = placed()
      return counts.gamma == 3 and counts.alpha == 3 and counts.beta == 3,
        ("%d, %d, %d"):format(counts.alpha, counts.beta, counts.gamma)
    end)
    expect_one_of_each()
    local _, moved = placed()
    table.sort(moved, function(a, b) return a.at < b.at end)
    assert.equal(3, #moved)
    for number = 2, 3 do assert.is_true(moved[number].at - moved[number - 1].at >= INTERVAL_S) end
    leader():wait_for_log("rebalance: picky.0 moves from alpha to gamma as picky.1: score -4 → 0")
    assert.equal("picky", consul:document("assignment/alpha").replicas[1].task)
  end)

  it("is where they stay, and says why they are there", function()
    loop.wait_for("the leader is content", 20000, function()
      local text = leader():json("status").leading.rebalance
      return text == "nothing would be better off elsewhere", text
    end)
    local before = placed()
    test:expect_decision(consul)
    assert.same(before, (placed()))
    local first = consul:document("assignment/gamma").replicas[1]
    local explained = agents.beta:cli("explain", first.task).stdout
    local moved = first.moved
    local text = ("slot 1 on gamma: moved for balance from %s: score %d → %d"):format(moved.from, moved.before, moved.after)
    assert.truthy(explained:find(text, 1, true), explained)
    assert.truthy(agents.beta:cli("plan").stdout:find("rebalance: nothing would be better off elsewhere", 1, true))
  end)

  it("is not waited for when it goes; what it had runs elsewhere", function()
    assert.equal(0, agents.gamma:cli("leave").code)
    agents.gamma = nil
    expect_one_of_each()
    local counts = placed()
    assert.equal(#TASKS, counts.alpha + counts.beta)
  end)
end)
