--- appmgr beside supervisord, runit and s6 with the same applications, and the kernel's own floor.
--
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua peers [1000] [5000]
--
-- Every one of them runs the same commands: `sleep`, and among them some beacons, which tell when they begin. The
-- peers write no output and keep no logs; appmgr does both as it always does.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local appmgr = require("tests.bench.peers.appmgr")
local beacons_module = require("tests.bench.beacons")
local cost = require("tests.bench.cost")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")
local services = require("tests.bench.peers.services")
local statistics = require("tests.bench.statistics")

local CANDIDATES = {
  require("tests.bench.peers.floor"), appmgr, require("tests.bench.peers.supervisord"), services.runit, services.s6,
}

local BEACONS = 100
local START_S, STOP_S = 300, 60
local IDLE_S, RESTARTS_S, CRASH_S = 20, 20, 30
local SETTLE_MS = 3000
-- By then each has done what it does once for what it has started: appmgr looks at its applications when ten seconds are over.
local IDLE_AFTER_MS = 15000

local function now_ms()
  return uv.hrtime() / 1e6
end

-- How many processes and threads the machine has: cheap to ask while something else is measured.
local function machine_load()
  return tonumber(process.slurp("/proc/loadavg"):match("/(%d+)"))
end

-- Pids of the applications that run: processes whose command line is one of the texts.
local function running(texts)
  local pids = {}
  for _, text in ipairs(texts) do
    for _, pid in ipairs(process.find(text)) do
      -- A shell that is about to become it carries the same texts among others.
      if process.command_line(pid):find(text, 1, true) == 1 then pids[#pids + 1] = pid end
    end
  end
  return pids
end

-- What they all are to run, and by what their processes are known.
local function commands_of(test, beacons, count)
  local list, sleeper = {}, test:sleeper("peers")
  for index = 1, count do
    list[index] = index <= BEACONS and beacons:command("b" .. index) or sleeper
  end
  return list, {sleeper, beacons:command("b"):match("^(.*) b$")}
end

-- Waits until all run, or the time is up.
local function wait_for_all(texts, count, before)
  local limit, pids, looked = now_ms() + START_S * 1000, {}, now_ms()
  while #pids < count and now_ms() < limit do
    if machine_load() >= before + count * 0.95 or now_ms() > looked + 5000 then
      pids, looked = running(texts), now_ms()
    end
    loop.pass(300)
  end
  return pids
end

-- Seconds from the start of one process to that of the last of others, by the kernel's record (10 ms).
local function seconds_between(first, pids)
  local last, began = 0, process.look(first).start_ticks
  for _, pid in ipairs(pids) do
    local seen = process.look(pid)
    last = math.max(last, seen and seen.start_ticks or 0)
  end
  return (last - began) / 100
end

-- Milliseconds of processor time that processes have had, by the scheduler's own account. On a machine that has other work to
-- do it says more of what a start costs than how long all of them took.
local function processor_ms(...)
  local sum = 0
  for _, pids in ipairs{...} do
    for _, pid in ipairs(pids) do
      sum = sum + (tonumber(process.slurp(("/proc/%d/schedstat"):format(pid)):match("^%d+")) or 0) / 1e6
    end
  end
  return sum
end

local function idle_cpu(own)
  local before, began = cost.sum(own, cost.cpu), uv.hrtime()
  loop.pass(IDLE_S * 1000)
  return (cost.sum(own, cost.cpu) - before) / ((uv.hrtime() - began) / 1e9) * 100
end

-- Kills beacons one after the other, each once, so that it is its first restart. One at a time: a supervisor that looks
-- once a second would be woken by the next.
local function restarts(beacons)
  local samples, until_ms = {}, now_ms() + RESTARTS_S * 1000
  for index = 1, BEACONS do
    local label, killed = "b" .. index, now_ms()
    uv.kill(beacons.pid[label], "sigkill")
    local ok = pcall(loop.wait_for, label .. " runs again", 5000, function() return beacons.seen[label] > killed end)
    samples[#samples + 1] = ok and beacons.seen[label] - killed or nil
    loop.pass(20)
    if now_ms() > until_ms then break end
  end
  return samples
end

-- Seconds until none of the processes is left, and how many are when the time is up.
local function wait_for_none(pids, began)
  local at = 1
  while at <= #pids and now_ms() < began + STOP_S * 1000 do
    if uv.kill(pids[at], 0) == 0 and process.look(pids[at]) then
      loop.pass(1)
    else
      at = at + 1
    end
  end
  return (now_ms() - began) / 1000, #pids - at + 1
end

local function folder(test, name)
  local path = ("%s/%s"):format(test.dir, name)
  assert(uv.fs_mkdir(path, 448))
  return path
end

-- Everything but the crash loop, of one candidate.
local function measure(test, candidate, root, count, say)
  local dir = folder(test, ("%s-%d"):format(candidate.name, count))
  local beacons = beacons_module.open(dir)
  local commands, texts = commands_of(test, beacons, count)
  local one, before = candidate.open(root, dir, commands), machine_load()
  local root_pid = one:start()
  local ok, err = xpcall(function()
    local pids = wait_for_all(texts, count, before)
    say("start", #pids == count and ("%.2f s"):format(seconds_between(root_pid, pids)) or ("%d of them in %d s"):format(#pids, START_S))
    if #pids < count then return end
    say("rate", ("%.0f/s"):format(count / seconds_between(root_pid, pids)))
    loop.pass(SETTLE_MS)
    local own = one:processes()
    say("work", ("%.2f"):format(processor_ms(own, pids) / count))
    say("pss", cost.mb(cost.sum(own, cost.memory, "pss")))
    say("processes", tostring(#own))
    loop.pass(IDLE_AFTER_MS - SETTLE_MS)
    say("idle", ("%.3f"):format(idle_cpu(own)))
    local samples = restarts(beacons)
    say("restart", #samples > 0 and ("%.2f / %.2f"):format(statistics.median(samples), statistics.percentile(samples, 0.99)) or "none")
    loop.pass(SETTLE_MS)
    local all = running(texts)
    table.move(one:processes(), 1, #own, #all + 1, all)
    local began = now_ms()
    one:stop()
    local seconds, left = wait_for_none(all, began)
    say("stop", left == 0 and ("%.2f s"):format(seconds) or ("%d left after %d s"):format(left, STOP_S))
  end, debug.traceback)
  one:destroy()
  beacons.pipe:close()
  for _, pid in ipairs(running(texts)) do
    uv.kill(pid, "sigkill")
  end
  if not ok then say("start", err) end
end

-- Applications that all fail at once: the supervisor's own work.
local function measure_crashes(test, candidate, root, count, say)
  local commands = {}
  for index = 1, count do commands[index] = "/bin/false" end
  local one = candidate.open(root, folder(test, ("%s-crash"):format(candidate.name)), commands)
  one:start()
  local ok, err = xpcall(function()
    loop.pass(1000)
    local own = one:processes()
    local forks = tonumber(process.slurp("/proc/stat"):match("\nprocesses (%d+)"))
    local before, began = cost.sum(own, cost.cpu), uv.hrtime()
    loop.pass(CRASH_S * 1000)
    local seconds = (uv.hrtime() - began) / 1e9
    say("crash", ("%.1f %% (%.0f starts/s)"):format((cost.sum(own, cost.cpu) - before) / seconds * 100,
      (tonumber(process.slurp("/proc/stat"):match("\nprocesses (%d+)")) - forks) / seconds))
  end, debug.traceback)
  one:destroy()
  if not ok then say("crash", err) end
end

local LINES = {
  {"start", "%d applications: until all run", "the shortest"},
  {"rate", "%d applications: starts a second", ">= 80 % of the kernel's"},
  {"work", "%d applications: processor time of all until they run, ms for each", "<= 1.25 of the kernel's"},
  {"pss", "%d applications: PSS of all supervising processes, MB", "<= 20 with 1,000, <= 50 with 5,000"},
  {"processes", "%d applications: supervising processes", ""},
  {"idle", "%d applications: CPU idle, %% of a core", "none to be measured"},
  {"restart", "%d applications: SIGKILL until the successor runs, ms, median / p99", "median <= 1.5"},
  {"stop", "%d applications: until all are stopped", "< 1 s"},
  {"crash", "%d applications that all fail: CPU, %% of a core", "< 50 %"},
}

local function rows_of(count, results)
  local rows = {}
  for _, line in ipairs(LINES) do
    local row = {(line[2]:format(count))}
    for _, candidate in ipairs(CANDIDATES) do
      row[#row + 1] = results[candidate.name][line[1]] or "-"
    end
    row[#row + 1] = line[3]
    rows[#rows + 1] = row
  end
  return rows
end

local function unpacked_packages()
  local result = process.run({"tests/bench/peers.sh"}, {timeout_ms = 120000})
  assert(result.code == 0, result.stderr)
  return (result.stdout:gsub("%s+$", ""))
end

local function is_chosen(candidate, only)
  return not next(only) or only[candidate.name]
end

--- Measures in a test of the harness.
-- @tparam {string,...} arguments numbers of applications (1000 and 5000), names of candidates (all)
-- @treturn table rows for statistics.print
return function(test, arguments)
  local counts, only = {}, {}
  assert(uv.fs_stat(Agent.binary()), Agent.binary() .. " is not there: name the build folder with APPMGR_BUILD")
  for _, word in ipairs(arguments) do
    if tonumber(word) then counts[#counts + 1] = math.tointeger(word) else only[word] = true end
  end
  local root, rows, head = unpacked_packages(), {}, {"beside other supervisors"}
  for _, candidate in ipairs(CANDIDATES) do head[#head + 1] = candidate.name end
  head[#head + 1] = "aim"
  rows[1] = head
  for _, count in ipairs(#counts > 0 and counts or {1000, 5000}) do
    local results = {}
    for _, candidate in ipairs(CANDIDATES) do
      local result = {}
      results[candidate.name] = result
      local function say(what, text)
        result[what] = text
        io.stderr:write(("  %d %s: %s %s\n"):format(count, candidate.name, what, text))
      end
      if not is_chosen(candidate, only) then
        result.start = "-"
      elseif count > candidate.most then
        result.start = ("takes at most %d"):format(candidate.most)
      else
        measure(test, candidate, root, count, say)
        if candidate.name ~= "kernel" and count <= 1000 then measure_crashes(test, candidate, root, count, say) end
      end
    end
    table.move(rows_of(count, results), 1, #LINES, #rows + 1, rows)
  end
  return rows
end
