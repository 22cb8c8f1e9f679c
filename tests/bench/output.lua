--- Output: how fast one application's reaches its file, beside `cat`, and what 100 busy writers do to a signal.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local beacons_module = require("tests.bench.beacons")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")
local statistics = require("tests.bench.statistics")

local SIZE_MB, ROUNDS = 512, 5
local WRITERS, LINES_PER_SECOND, SIGNALS = 100, 100, 200

-- The numbers of src/wire.h that are used here.
local HELLO, SIGNAL, OPERATOR, SIGUSR1 = 1, 8, 3, 10
local TAG_VERSION, TAG_OLDEST, TAG_ROLE, TAG_ID, TAG_SIGNAL = 1, 2, 3, 6, 33

local function field(tag, value)
  local bytes = type(value) == "number" and ("<I8"):pack(value) or value .. "\0"
  return ("<I2I2s4"):pack(tag, 0, bytes)
end

local function frame(kind, ...)
  local payload = table.concat{...}
  return ("<I4I2I2"):pack(#payload, kind, 0) .. payload
end

-- A connection to the keeper that may send signals.
local function dial(agent)
  local pipe, connected = uv.new_pipe(), false
  pipe:connect(agent.state_dir .. "/keeper.sock", function(err)
    assert(not err, err)
    connected = true
  end)
  loop.wait_for("the keeper accepts", 5000, function() return connected end)
  pipe:read_start(function() end)
  pipe:write(frame(HELLO, field(TAG_VERSION, 1), field(TAG_OLDEST, 1), field(TAG_ROLE, OPERATOR)))
  return pipe
end

local function measure_signals(agent, beacons)
  local pipe, id, samples = dial(agent), agent:json("app", "show", "heard").id, {}
  for round = 1, SIGNALS do
    beacons.seen["heard.signal"] = nil
    local began = uv.hrtime() / 1e6
    pipe:write(frame(SIGNAL, field(TAG_ID, id), field(TAG_SIGNAL, SIGUSR1)))
    loop.wait_for("the signal is heard", 5000, function() return beacons.seen["heard.signal"] end)
    samples[round] = beacons.seen["heard.signal"] - began
    loop.pass(10 + round % 7)
  end
  pipe:close()
  return samples
end

-- Megabytes a second of `cat` from a file through a pipe into a file.
local function cat_rate(dir)
  local samples = {}
  for round = 1, ROUNDS do
    local began = uv.hrtime()
    process.run({"sh", "-c", ("cat %s/source | cat > %s/copy"):format(dir, dir)}, {timeout_ms = 60000})
    samples[round] = SIZE_MB / ((uv.hrtime() - began) / 1e9)
    os.remove(dir .. "/copy")
  end
  return samples
end

-- The same of an application that writes that file, by how long it ran until all was taken from it.
local function application_rate(agent, dir)
  local samples = {}
  for round = 1, ROUNDS do
    local name = "source" .. round
    agent:configure{Applications = {{
      name = name, command = ("cat %s/source"):format(dir), restart = {attempts = 0}, output = {max_mb = SIZE_MB * 2},
    }}}
    agent.process:kill("sighup")
    local run
    loop.wait_for("all is written", 60000, function()
      local result = agent:cli("app", "exec-history", "--json", name)
      run = result.stdout:match('"ran_seconds"%s*:%s*([%d.]+)')
      return result.stdout:find('"code"') and run
    end)
    samples[round] = SIZE_MB / tonumber(run)
    os.remove(("%s/log/%s.log"):format(agent.state_dir, name))
  end
  return samples
end

local function make_source(dir)
  local line = ("%063d\n"):format(7)
  local file = assert(io.open(dir .. "/source", "wb"))
  for _ = 1, SIZE_MB do file:write(line:rep(16384)) end
  file:close()
end

--- Measures in a test of the harness.
-- @treturn table rows for statistics.print
return function(test)
  local dir = assert(uv.fs_mkdtemp("/dev/shm/appmgr-bench-XXXXXX"))
  local beacons, list = beacons_module.open(test.dir), {}
  local agent = test:agent("alpha", {state_dir = dir .. "/state", config = {Applications = {}}}):start()
  make_source(dir)
  local cat, own = cat_rate(dir), application_rate(agent, dir)
  list[1] = {name = "heard", command = beacons:command("heard")}
  agent:configure{Applications = list}
  agent.process:kill("sighup")
  loop.wait_for("it listens", 10000, function() return beacons.pid.heard end)
  local quiet = measure_signals(agent, beacons)
  for i = 1, WRITERS do
    list[#list + 1] = {name = "writer" .. i, command = ("%s/tests/writer %d"):format(Agent.build_dir, LINES_PER_SECOND)}
  end
  agent:configure{Applications = list}
  agent.process:kill("sighup")
  loop.pass(3000)
  local busy = measure_signals(agent, beacons)
  agent:destroy()
  os.execute("rm -rf " .. dir)
  return {
    {("output of one application, MB/s (%d MB, tmpfs)"):format(SIZE_MB), statistics.spread(own, 0)},
    {"  cat from a pipe into a file there, MB/s", statistics.spread(cat, 0)},
    {"  the first as a part of the second", ("%.2f"):format(statistics.median(own) / statistics.median(cat)), ">= 0.6"},
    {"signal through the keeper, ms, quiet", statistics.spread(quiet)},
    {("  while %d applications write %d lines a second"):format(WRITERS, WRITERS * LINES_PER_SECOND), statistics.spread(busy),
      "at most 5 later"},
  }
end
