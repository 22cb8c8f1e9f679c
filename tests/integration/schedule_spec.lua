--- When applications run, by real clocks: runs, grace, renewal, hours, and what an agent's restart does to them.
local json = require("dkjson")
local uv = require("luv")
local Agent = require("tests.lib.agent")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local function utc(moment) return os.date("!%Y-%m-%d %H:%M:%S", moment) end
local function utc_time(moment) return os.date("!%H:%M:%S", moment) end

--- Exact where os.time() may lag behind by a tick.
local function now()
  local seconds, microseconds = uv.gettimeofday()
  return seconds + microseconds / 1e6
end

describe("applications that run at times", function()
  local test, alpha

  --- A command that writes down the moment of each of its runs.
  local function noting(name, rest)
    return ("date +%%s.%%N >> %s/%s; %s"):format(test.dir, name, rest or "true")
  end

  local function runs_of(name)
    local list = {}
    for moment in process.slurp(test.dir .. "/" .. name):gmatch("%d+%.%d+") do list[#list + 1] = tonumber(moment) end
    return list
  end

  local function wait_for_runs(name, count, deadline_ms)
    return loop.wait_for(("%s ran %d times"):format(name, count), deadline_ms or 15000, function()
      local list = runs_of(name)
      return #list >= count and list, #list
    end)
  end

  local function wait_for_app(name, what, condition, deadline_ms)
    return loop.wait_for(name .. " " .. what, deadline_ms or 10000, function()
      local seen, why = alpha:app(name)
      return seen and condition(seen) and seen, why or json.encode(seen)
    end)
  end

  --- The last of the times every so many seconds from 2020-01-14 21:38:50 UTC. A busy machine is late, and never early.
  local function due_before(moment, interval_s)
    local second = math.floor(moment)
    return second - (second - 1579037930) % interval_s
  end

  --- Whether a text says one of those times, of these days.
  local function is_due(text, interval_s)
    for number = -10, 10 do
      if text == utc(due_before(os.time(), interval_s) + number * interval_s) then return true end
    end
    return false
  end

  --- Applications of the one agent: each test adds its own and sends SIGHUP.
  local function configure(...)
    alpha:configure({Applications = {...}})
    alpha.process:kill("sighup")
  end

  setup(function()
    test = harness.open()
    alpha = test:agent("alpha", {config = {}, env = {TZ = "UTC0"}})
    alpha:start()
  end)

  teardown(function() test:close() end)

  it("run once at each of their times, fail, and are not restarted for it", function()
    configure({name = "job", command = noting("job", "exit 3"), start_time = "2020-01-14 21:38:50",
      start_interval_seconds = 3})
    local list = wait_for_runs("job", 3)
    for index = 2, #list do
      assert.is_true(due_before(list[index], 3) > due_before(list[index - 1], 3), "two runs at one time")
    end
    local seen = wait_for_app("job", "waits, with its exit code", function(row)
      return row.state == "waiting" and row["return"] == 3
    end)
    assert.is_truthy(seen.last_start_time)
    assert.equal(1, seen.health)
    assert.equal(3, seen.start_interval_seconds)
    assert.is_true(seen.next_start_time > seen.last_start_time)
    assert.is_true(is_due(seen.next_start_time, 3), seen.next_start_time)
    assert.matches("job .* waiting .*ended with 3, next start 20", alpha:cli("app", "ls").stdout)
    assert.matches("1 waiting", alpha:cli("status").stdout)
  end)

  it("make room for the next run when their grace is over", function()
    configure({name = "long", command = noting("long", "exec " .. test:sleeper("long")), start_interval_seconds = 3,
      start_interval_timeout = 3, stop_timeout = 1})
    local first = test:wait_for_sleepers("long", 1)[1]
    local second
    loop.wait_for("another run", 15000, function()
      local pids = test:sleepers("long")
      assert.is_true(#pids <= 1, "two runs at once")
      second = pids[1] and pids[1] ~= first and pids[1]
      return second
    end)
    local list = runs_of("long")
    -- Six, less what a busy machine was late with the first; without a grace it would be three.
    assert.is_true(list[2] - list[1] > 4, ("the first had %.2f s"):format(list[2] - list[1]))
  end)

  it("that are kept running are restarted when they end, and renewed at their times", function()
    configure({name = "kept", command = test:sleeper("kept"), keep_running = true, start_interval_seconds = 5})
    local first = test:wait_for_sleepers("kept", 1)[1]
    uv.kill(first, "sigkill")
    local second = loop.wait_for("it is restarted", 4000, function()
      local pid = test:sleepers("kept")[1]
      return pid ~= first and pid
    end)
    loop.wait_for("it is renewed", 10000, function()
      local pids = test:sleepers("kept")
      assert.is_true(#pids <= 1, "two at once")
      return pids[1] and pids[1] ~= second
    end)
    assert.equal("running", wait_for_app("kept", "runs", function(row) return row.state == "running" end).state)
  end)

  it("run within their hours only", function()
    local opens = os.time() + 8
    configure({name = "hours", command = test:sleeper("hours"), posix_timezone = "UTC0",
      daily_limitation = {daily_start = utc_time(opens), daily_end = utc_time(opens + 8)}})
    local seen = wait_for_app("hours", "waits", function(row) return row.state == "waiting" end)
    assert.equal(utc(opens), seen.next_start_time)
    test:wait_for_sleepers("hours", 1, 15000)
    assert.is_true(now() >= opens)
    test:wait_for_sleepers("hours", 0, 15000)
    assert.is_true(now() >= opens + 8)
    seen = wait_for_app("hours", "waits again", function(row) return row.state == "waiting" end)
    assert.equal(utc(opens + 86400), seen.next_start_time)
  end)

  it("are neither repeated nor lost by a restart of the agent", function()
    configure({name = "away", command = noting("away", "sleep 1; exit 7"), start_time = "2020-01-14 21:38:50",
      start_interval_seconds = 10})
    wait_for_runs("away", 1)
    alpha:stop("sigkill")
    alpha:start()
    local seen = wait_for_app("away", "waits, with its exit code", function(row)
      return row.state == "waiting" and row["return"] == 7
    end)
    assert.is_true(is_due(seen.next_start_time, 10), seen.next_start_time)
    local list = wait_for_runs("away", 2)
    assert.is_true(due_before(list[2], 10) > due_before(list[1], 10), "one run was repeated")
    alpha:stop("sigkill")
    loop.pass(12000)
    assert.equal(2, #runs_of("away"), "without an agent nothing begins")
    alpha:start()
    local back = now()
    list = wait_for_runs("away", 3)
    assert.is_true(due_before(list[3], 10) == due_before(back, 10), "what fell due meanwhile runs at once")
    seen = wait_for_app("away", "waits", function(row) return row.state == "waiting" end)
    assert.is_true(is_due(seen.next_start_time, 10), seen.next_start_time)
    list = wait_for_runs("away", 4)
    assert.is_true(due_before(list[4], 10) > due_before(list[3], 10))
  end)

  it("follow a cron expression", function()
    configure({name = "cron", command = noting("cron"), schedule = "* * * * *"})
    local minute = os.time() // 60 * 60 + 60
    local seen = wait_for_app("cron", "waits", function(row) return row.next_start_time end)
    assert.is_true(seen.next_start_time == utc(minute) or seen.next_start_time == utc(minute + 60))
    local list = wait_for_runs("cron", 1, 70000)
    assert.is_true(list[1] % 60 < 20, ("ran at second %.2f"):format(list[1] % 60))
    loop.hold("it runs once", 1500, function() return #runs_of("cron") == 1 end)
  end)

  it("are blocked when the node does not know their time zone, and told so", function()
    configure({name = "lost", command = "true", schedule = "@daily", posix_timezone = "Europe/Nowhere"})
    local seen = wait_for_app("lost", "is blocked", function(row) return row.state == "blocked" end)
    assert.truthy(seen.error:find('no time zone "Europe/Nowhere"', 1, true), seen.error)
  end)

  it("are refused with field and reason when their times make no sense", function()
    local function check(fields, ...)
      fields.name, fields.command = "bad", "true"
      local path = test.dir .. "/bad.json"
      process.spit(path, json.encode({Applications = {fields}}))
      local result = process.run({Agent.binary(), "config", "check", path})
      assert.equal(1, result.code)
      for _, text in ipairs{...} do
        assert.truthy(result.stderr:find(text, 1, true), result.stderr)
      end
    end
    check({schedule = "61 * * * *"}, 'Applications "bad": schedule: "61" is no minute')
    check({start_time = "tomorrow"}, "start_time: must be a local time")
    check({daily_limitation = {daily_start = "9", daily_end = "17:00:00"}}, "daily_limitation: daily_start must be")
    check({keep_running = true}, "keep_running:", "needs start_interval_seconds or schedule")
  end)
end)

describe("a task that runs at times", function()
  local test, consul, alpha

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    alpha = test:join("alpha", consul, {env = {TZ = "UTC0"}})
  end)

  teardown(function() test:close() end)

  local function row()
    local rows = consul:document("status/alpha/applications")
    return rows and rows.nightly or {}
  end

  it("waits in the status key, runs, and gets its new version between two runs", function()
    local out = test.dir .. "/nightly"
    local content = {name = "nightly", command = "echo first >> " .. out, start_interval_seconds = 4,
      start_time = "2020-01-01 00:00:00"}
    consul:put("task/nightly", {content = content, replication = 1})
    local function says(text)
      return function() return process.slurp(out):find(text, 1, true), process.slurp(out) end
    end
    loop.wait_for("the first run", 20000, says("first"))
    loop.wait_for("it waits with its exit code", 10000, function()
      local seen = row()
      return seen.state == "waiting" and seen["return"] == 0 and seen.next_start_time, json.encode(seen)
    end)
    assert.matches("nightly.*waiting", alpha:cli("tasks").stdout)
    local before = row().version
    content.command, content.start_interval_seconds = "echo second >> " .. out, 86400
    consul:put("task/nightly", {content = content, replication = 1})
    local seen = loop.wait_for("the new version waits", 10000, function()
      local seen = row()
      return seen.state == "waiting" and seen.version ~= before and seen, json.encode(seen)
    end)
    assert.matches(" 00:00:00$", seen.next_start_time)
    content.start_interval_seconds = 2
    consul:put("task/nightly", {content = content, replication = 1})
    loop.wait_for("a run of the new version", 10000, says("second"))
  end)
end)

describe("an application that runs at times, when the clock is set", function()
  local DAY <const> = 86400
  local test, alpha

  local function set_clock(shift_s) process.spit(test.dir .. "/clock", tostring(shift_s)) end

  local function runs()
    return select(2, alpha:cli("app", "exec-history", "daily").stdout:gsub("exit code 4", ""))
  end

  local function wait_for_row(what, condition, deadline_ms)
    return loop.wait_for(what, deadline_ms or 10000, function()
      local row, why = alpha:app("daily")
      return row and condition(row) and row, why or json.encode(row)
    end)
  end

  setup(function()
    test = harness.open()
    set_clock(0)
    local due = os.date("!*t", os.time() + DAY // 2)
    alpha = test:agent("alpha", {
      config = {Applications = {{name = "daily", command = "exit 4", schedule = ("%d %d * * *"):format(due.min, due.hour)}}},
      env = {TZ = "UTC0", LD_PRELOAD = Agent.build_dir .. "/tests/libclock_shift.so", APPMGR_TEST_CLOCK = test.dir .. "/clock"},
    }):start()
  end)

  teardown(function() test:close() end)

  it("forward, runs once for what was passed over, and shows when it is next", function()
    local before = wait_for_row("it waits", function(row) return row.state == "waiting" end)
    assert.equal(0, runs())
    set_clock(3 * DAY)
    local after = wait_for_row("it has run", function(row) return row["return"] == 4 and row.state == "waiting" end, 60000)
    assert.equal(1, runs())
    assert.equal(before.next_start_time:sub(11), after.next_start_time:sub(11), "at another time of the day")
    assert.is_true(after.next_start_time > utc(os.time() + 3 * DAY), after.next_start_time)
    assert.truthy(alpha:cli("app", "ls").stdout:find("ended with 4, next start " .. after.next_start_time, 1, true))
  end)

  it("back, does not run again, also for an agent that comes back", function()
    local before = alpha:json("app", "show", "daily").next_start_time
    set_clock(3 * DAY - 3600)
    alpha:stop("sigkill")
    alpha:start()
    wait_for_row("it waits", function(row) return row.state == "waiting" and row.next_start_time == before end)
    loop.hold("it does not run", 1000, function() return runs() == 1 end)
  end)
end)
