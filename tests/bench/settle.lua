--- 20 agents on one machine: from the last PUT until all of 200 replicas run.
local uv = require("luv")
local beacons_module = require("tests.bench.beacons")
local loop = require("tests.lib.loop")
local statistics = require("tests.bench.statistics")

local AGENTS, TASKS, ROUNDS = 20, 10, 5

local function put_tasks(consul, beacons, round)
  for i = 1, TASKS do
    consul:put("task/many" .. i, {
      content = {command = beacons:command(("many%d.%d"):format(round, i))}, replication = AGENTS,
    })
  end
end

local function delete_tasks(consul)
  for i = 1, TASKS do
    consul:delete("task/many" .. i)
  end
  loop.wait_for("all assignments are empty", 30000, function()
    for _, key in ipairs(consul:keys("topology/")) do
      if consul:get(key) ~= "[]" then
        return false, key
      end
    end
    return true
  end)
end

--- Measures in a test of the harness.
-- @treturn table rows for statistics.print
return function(test)
  local consul = test:start_consul{kind = "server", name = "server"}
  local beacons, agents, samples = beacons_module.open(test.dir), {}, {}
  for i = 1, AGENTS do
    -- Between two rounds all is removed at once, and nobody is there to confirm it.
    local config = {Placement = {brake_share = 1}}
    agents[i] = test:agent(("node%02d"):format(i), {consul = consul, config = config}):start()
  end
  for _, agent in ipairs(agents) do
    agent:wait_joined(30000)
  end
  loop.wait_for("every node has its keys", 30000, function() return #consul:keys("topology/") == AGENTS end)
  for round = 1, ROUNDS do
    beacons.count = 0
    put_tasks(consul, beacons, round)
    local began = uv.hrtime() / 1e6
    loop.wait_for("200 replicas run", 60000, function()
      return beacons.count >= AGENTS * TASKS, beacons.count
    end)
    local last = 0
    for _, time_ms in pairs(beacons.seen) do
      last = math.max(last, time_ms)
    end
    samples[round] = (last - began) / 1000
    delete_tasks(consul)
  end
  return {{"20 agents settle 200 replicas, s after the last PUT", statistics.spread(samples), "< 3"}}
end
