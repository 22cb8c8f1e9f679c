--- PUT of a task → its process runs, beside the floor taken in the same run.
local uv = require("luv")
local beacons_module = require("tests.bench.beacons")
local http = require("tests.lib.http")
local json = require("dkjson")
local loop = require("tests.lib.loop")
local statistics = require("tests.bench.statistics")

local ROUNDS = 200
local DEADLINE_MS = 10000

local function now_ms()
  return uv.hrtime() / 1e6
end

local function put(connection, path, body, done)
  connection:send({method = "PUT", path = path, body = body}, done or function() end)
end

-- A PUT to a key on which somebody waits: from sending it to the waiter's answer.
local function measure_wake(consul, writer)
  local waiter, samples = http.connect(consul.http_port), {}
  consul:put("bench/wake", "0")
  local index = consul:entry("bench/wake").modify_index
  for round = 1, ROUNDS do
    local woken, written
    waiter:send({path = ("/v1/kv/appmgr/bench/wake?wait=25s&index=%d"):format(index)}, function(response)
      woken, index = now_ms(), tonumber(response.headers["x-consul-index"])
    end)
    loop.pass(3)
    local began = now_ms()
    put(writer, "/v1/kv/appmgr/bench/wake", tostring(round), function() written = true end)
    loop.wait_for("the waiter wakes", DEADLINE_MS, function() return woken and written end)
    samples[round] = woken - began
  end
  waiter:close()
  return samples
end

-- The transaction of a decision for one host: check, compare and set, set.
local function measure_transaction(writer)
  local samples = {}
  for round = 1, ROUNDS do
    local body = json.encode{
      {KV = {Verb = "set", Key = "appmgr/bench/a", Value = "e30="}},
      {KV = {Verb = "set", Key = "appmgr/bench/b", Value = ("%04d"):format(round)}},
    }
    local began, done = now_ms(), nil
    put(writer, "/v1/txn", body, function() done = now_ms() end)
    loop.wait_for("the transaction is answered", DEADLINE_MS, function() return done end)
    samples[round] = done - began
  end
  return samples
end

local function measure_spawn(beacons)
  local samples, words = {}, {}
  for word in beacons:command("floor"):gmatch("%S+") do
    words[#words + 1] = word
  end
  for round = 1, ROUNDS do
    beacons.seen.floor = nil
    local began = now_ms()
    local handle = uv.spawn(words[1], {args = {words[2], words[3]}}, function() end)
    loop.wait_for("the process runs", DEADLINE_MS, function() return beacons.seen.floor end)
    samples[round] = beacons.seen.floor - began
    handle:kill("sigkill")
    loop.pass(2)
    handle:close()
  end
  return samples
end

-- Each round a new task; the one before is deleted outside of the measured time.
local function measure_start(consul, writer, beacons)
  local samples = {}
  for round = 1, ROUNDS do
    local name = "start" .. round
    local began = now_ms()
    put(writer, "/v1/kv/appmgr/task/" .. name, json.encode{content = {command = beacons:command(name)}, replication = 1})
    loop.wait_for(name .. " runs", DEADLINE_MS, function() return beacons.seen[name] end)
    samples[round] = beacons.seen[name] - began
    consul:delete("task/" .. name)
    loop.wait_for(name .. " is gone", DEADLINE_MS, function()
      return consul:get("topology/alpha") == "[]"
    end)
    -- Pauses of varying length, so that no rhythm of either side is met every time.
    loop.pass(20 + round % 7 * 5)
  end
  return samples
end

--- Measures in a test of the harness.
-- @treturn table rows for statistics.print
return function(test)
  local consul = test:start_consul{kind = "server", name = "server"}
  local beacons = beacons_module.open(test.dir)
  local writer = http.connect(consul.http_port)
  test:join("alpha", consul, {config = {Consul = {url = consul.url}}})
  loop.wait_for("alpha leads", DEADLINE_MS, function() return consul:get("topology/alpha") end)
  local floor = {measure_wake(consul, writer), measure_transaction(writer), measure_spawn(beacons)}
  local start = measure_start(consul, writer, beacons)
  local sum = 0
  for _, samples in ipairs(floor) do
    sum = sum + statistics.median(samples)
  end
  return {
    {"PUT of a task -> its process runs, ms", statistics.spread(start), "median <= 12, p99 <= 50"},
    {"  floor: PUT -> a long poll wakes, ms", statistics.spread(floor[1])},
    {"  floor: a transaction, ms", statistics.spread(floor[2])},
    {"  floor: a spawn, ms", statistics.spread(floor[3])},
    {"  floor: sum of the medians, ms", ("%.2f"):format(sum)},
  }
end
