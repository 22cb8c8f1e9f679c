--- The keeper's death and upgrade, with an agent and without.
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local MANY = 50

describe("a keeper", function()
  local test, alpha, flags

  local function touch(name)
    process.spit(flags .. "/" .. name, "x")
  end

  local function app(name)
    return alpha:json("app", "show", name)
  end

  local function wait_for_app(name, what, condition, deadline_ms)
    return loop.wait_for(name .. " " .. what, deadline_ms or 10000, function()
      local seen, why = alpha:app(name)
      return seen and condition(seen) and seen, why or json.encode(seen)
    end)
  end

  local function wait_for_another_keeper(old)
    loop.wait_for("another keeper runs", 15000, function()
      local now = alpha:keeper_pid()
      return now and now ~= old
    end)
  end

  --- Numbered lines as fast as they go until the flag is there; 20 ms of rest now and then.
  local function counter(flag)
    return ([[sh -c 'i=0; while ! test -e %s/%s; do n=$((i+500)); while test $i -lt $n; do echo $i; i=$((i+1)); done;
      sleep 0.02; done; echo last $i; exec %s']]):format(flags, flag, test:sleeper("counted" .. flag))
  end

  local function check_counter(name)
    local path, text = alpha.state_dir .. "/log/" .. name .. ".log", nil
    loop.wait_for(name .. " has written its last line", 10000, function()
      text = process.slurp(path)
      return text:find("last %d+\n$"), text:sub(-100)
    end)
    local wanted = 0
    for line in text:gmatch("[^\n]*\n") do
      if line:sub(1, 5) == "last " then break end
      if line ~= wanted .. "\n" then error(("%s: line %d says %q"):format(name, wanted, line)) end
      wanted = wanted + 1
    end
    assert.equal(("last %d\n"):format(wanted), text:match("last %d+\n$"))
    assert.is_true(wanted > 1000)
  end

  local function pids_of_all()
    local pids = {}
    for _, row in ipairs(alpha:json("app", "ls")) do
      if row.name:find("^many") then pids[row.name] = row.pid end
    end
    return pids
  end

  --- The agent takes over what its keeper tells it in turns, and answers meanwhile.
  local function wait_until_all_are_known()
    loop.wait_for("all are known", 15000, function()
      local answered, pids = pcall(pids_of_all)
      local count = 0
      for _ in pairs(answered and pids or {}) do count = count + 1 end
      return count == MANY, ("%d of them"):format(count)
    end)
  end

  setup(function()
    test = harness.open()
    flags = test.dir .. "/flags"
    uv.fs_mkdir(flags, 511)
    local stubborn = ("sh -c 'trap \"\" TERM; touch %s/stubborn; %s & while :; do sleep 0.1; done'")
      :format(flags, test:sleeper("stubborn"))
    local list = {
      {name = "ender", command = ("sh -c 'test -e %s/ended && exec %s; while ! test -e %s/ended; do sleep 0.02; done; exit 7'")
        :format(flags, test:sleeper("ender"), flags)},
      {name = "failing", command = "sh -c 'exit 3'", restart = {delay_seconds = 3600, max_delay_seconds = 3600}},
      {name = "stubborn", command = stubborn, stop_timeout = 10},
      {name = "counter", command = counter("first"), output = {max_mb = 1000}},
      {name = "code", command = ("sh -c 'while ! test -e %s/code; do sleep 0.02; done; exit 42'"):format(flags),
        restart = {delay_seconds = 3600, max_delay_seconds = 3600}},
    }
    for i = 1, MANY do list[#list + 1] = {name = "many" .. i, command = test:sleeper("many")} end
    alpha = test:agent("alpha", {config = {Applications = list}})
    alpha:start()
    test:wait_for_sleepers("many", MANY, 20000)
    loop.wait_for("stubborn is deaf", 10000, function() return uv.fs_stat(flags .. "/stubborn") end)
    wait_for_app("failing", "is in back-off", function(seen) return seen.state == "backoff" and seen["return"] == 3 end)
  end)

  teardown(function() test:close() end)

  it("that is killed together with its agent takes nothing along", function()
    local before, old = pids_of_all(), alpha:keeper_pid()
    local list = {}
    for _, one in ipairs(alpha.config.Applications) do
      if one.name ~= "stubborn" then list[#list + 1] = one end
    end
    alpha:configure{Applications = list}
    alpha.process:kill("sighup")
    wait_for_app("stubborn", "is being stopped", function(seen) return seen.state == "stopping" end)
    alpha:stop("sigkill")
    uv.kill(old, "sigkill")
    touch("ended")
    loop.pass(300)
    assert.equal(MANY, #test:sleepers("many"))

    alpha:start()
    wait_for_another_keeper(old)
    wait_until_all_are_known()
    assert.same(before, pids_of_all())
    assert.equal(MANY, #test:sleepers("many"))
  end)

  it("is followed by one that goes on with what was under way", function()
    test:wait_for_sleepers("stubborn", 0, 30000)
    test:wait_for_sleepers("ender", 1)
    local ender = wait_for_app("ender", "was started again", function(seen) return seen.state == "running" end)
    assert.equal(1, ender.restarts)
    assert.is_true(ender["return"] == nil or ender["return"] == 7, "its exit is exact or unknown")
    local log = alpha:log()
    assert.truthy(log:find("ender: exited with 7", 1, true) or log:find("ender: ended, exit code unknown", 1, true))
    local failing = app("failing")
    assert.same({"backoff", 3, 1}, {failing.state, failing["return"], failing.restarts})
  end)

  it("that is upgraded keeps its pid, its children, and their output", function()
    local before, keeper = pids_of_all(), alpha:keeper_pid()
    for _ = 1, 2 do
      local result = alpha:cli("keeper", "upgrade")
      assert.equal(0, result.code, result.stderr)
      assert.matches("runs its new program", result.stdout)
    end
    assert.equal(keeper, alpha:keeper_pid())
    assert.same(before, pids_of_all())
    assert.equal(MANY, #test:sleepers("many"))
    touch("first")
    check_counter("counter")
  end)

  it("tells exact exit codes after an upgrade", function()
    touch("code")
    wait_for_app("code", "has ended with 42", function(seen) return seen["return"] == 42 end)
  end)

  it("is not upgraded while its records cannot be written", function()
    local before, keeper = pids_of_all(), alpha:keeper_pid()
    local obstacle = alpha.state_dir .. "/keeper.records.new"
    uv.fs_mkdir(obstacle, 448)
    local result = alpha:cli("keeper", "upgrade")
    assert.equal(1, result.code)
    assert.matches("keeper.records cannot be written", result.stderr)
    alpha:wait_for_log("keeper.records cannot be written")
    loop.wait_for("status tells it", 10000, function()
      return json.encode(alpha:json("status")):find("keeper.records cannot be written", 1, true)
    end)
    uv.fs_rmdir(obstacle)
    loop.wait_for("status tells it no more", 10000, function()
      return not json.encode(alpha:json("status")):find("keeper.records", 1, true)
    end)
    assert.equal(keeper, alpha:keeper_pid())
    assert.same(before, pids_of_all())
  end)

  it("whose records cannot be read is followed by none, and nothing is touched", function()
    local before, keeper, path = pids_of_all(), alpha:keeper_pid(), alpha.state_dir .. "/keeper.records"
    uv.kill(keeper, "sigstop")
    local whole = process.slurp(path)
    process.spit(path, "garbage!" .. whole:sub(9))
    uv.kill(keeper, "sigkill")
    alpha:wait_for_log("keeper.records is damaged")
    assert.matches("then remove keeper.records", json.encode(alpha:json("status")))
    assert.equal(MANY, #test:sleepers("many"))
    -- In one step: the agent tries a keeper on it again and again.
    process.spit(path .. ".back", whole)
    assert(os.rename(path .. ".back", path))
    wait_for_another_keeper(keeper)
    wait_until_all_are_known()
    assert.same(before, pids_of_all())
    assert.equal(MANY, #test:sleepers("many"))
  end)
end)
