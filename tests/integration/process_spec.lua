--- Applications as processes, without any Consul.
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("an agent without Consul", function()
  local test, alpha, scratch

  local function script(name, text)
    local path = scratch .. "/" .. name
    process.spit(path, text)
    uv.fs_chmod(path, 493)
    return path
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

  -- Each application writes what it was born with and then waits to be looked at.
  local REPORT = [[#!/bin/sh
    exec > "$1.out" 2>&1
    id -un; pwd; echo "secret=$SECRET notify=${NOTIFY_SOCKET-unset}"
    readlink /proc/self/fd/0
    ls /proc/self/fd | tr '\n' ' '
    echo; grep -E '^Sig(Blk|Ign)' /proc/self/status
    cat /proc/self/oom_score_adj
    echo end
    exec sleep 100000
  ]]

  setup(function()
    test = harness.open()
    scratch = test.dir
    uv.fs_chmod(test.dir, 493)
    local out = scratch .. "/shared"
    uv.fs_mkdir(out, 511)
    uv.fs_chmod(out, 511)
    local report = script("report", REPORT)
    local stubborn = script("stubborn", "#!/bin/sh\ntrap '' TERM\n" .. test:sleeper("stubborn") .. " &\nwhile :; do sleep 1; done\n")
    alpha = test:agent("alpha", {env = {NOTIFY_SOCKET = "/nonexistent/notify"}, config = {Applications = {
      -- Its second delay is long enough to be seen.
      {name = "plain", command = test:sleeper("plain"), restart = {delay_seconds = 5, max_delay_seconds = 5}},
      {name = "report", command = report .. " " .. out .. "/report", user = "nobody", working_dir = "/usr",
        env = {SECRET = "hunter2-secret"}},
      {name = "shell", command = test:sleeper("shell") .. " & " .. test:sleeper("shell") .. " & wait"},
      {name = "array", command = {"/bin/sh", "-c", "echo 'one  two'; exec " .. test:sleeper("array")}},
      {name = "talker", command = "seq 1 200; exec " .. test:sleeper("talker"), cache_lines = 7},
      {name = "code", command = "sh -c 'exit 42'", restart = {delay_seconds = 3600, max_delay_seconds = 3600}},
      {name = "signal", command = "sh -c 'kill -SEGV $$'", restart = {delay_seconds = 3600, max_delay_seconds = 3600}},
      {name = "missing", command = "/nonexistent/program --flag"},
      {name = "nodir", command = "true", working_dir = "/nonexistent/dir"},
      {name = "nouser", command = "true", user = "no_such_user_here"},
      {name = "noexec", command = script("data", "text"):gsub("data$", "data")},
      {name = "toolong", command = {"/bin/echo", ("x"):rep(140000)}},
      {name = "disabled", command = test:sleeper("disabled"), status = 0},
      {name = "stubborn", command = stubborn, stop_timeout = 1},
    }}})
    uv.fs_chmod(scratch .. "/data", 420)
    alpha:start()
    test:wait_for_sleepers("plain", 1)
  end)

  teardown(function() test:close() end)

  it("makes each application a session and group of its own, under the keeper", function()
    local pid = test:sleepers("plain")[1]
    local seen = process.look(pid)
    assert.equal(pid, seen.session)
    assert.equal(pid, seen.group)
    assert.equal(alpha:keeper_pid(), seen.parent)
    assert.not_equal(alpha.process.pid, seen.parent)
  end)

  it("honours user, working_dir and env, and hands over nothing else", function()
    local lines
    loop.wait_for("the report is written", 10000, function()
      local text = process.slurp(scratch .. "/shared/report.out")
      lines = {}
      for line in text:gmatch("[^\n]+") do
        lines[#lines + 1] = line
      end
      return lines[#lines] == "end", text .. alpha:log()
    end)
    assert.equal("nobody", lines[1])
    assert.equal("/usr", lines[2])
    assert.equal("secret=hunter2-secret notify=unset", lines[3])
    assert.equal("/dev/null", lines[4])
    assert.equal("0 1 2 3 ", lines[5], "3 is ls's own")
    assert.matches("SigBlk:%s*0000000000000000", lines[6])
    assert.matches("SigIgn:%s*0000000000000000", lines[7])
    assert.equal("0", lines[8])
  end)

  it("runs a command with shell characters by the shell, and an array as it is", function()
    test:wait_for_sleepers("shell", 2)
    test:wait_for_sleepers("array", 1)
    loop.wait_for("the array's output is there", 5000, function()
      return alpha:cli("app", "logs", "array").stdout:find("one  two", 1, true)
    end)
  end)

  it("writes output to a file in the state directory and has the last cache_lines at hand", function()
    local wanted = "194\n195\n196\n197\n198\n199\n200\n"
    loop.wait_for("the last seven lines", 5000, function()
      local out = alpha:cli("app", "logs", "talker").stdout
      return out == wanted, out
    end)
    local whole = process.slurp(alpha.state_dir .. "/log/talker.log")
    assert.matches("^1\n2\n3\n", whole)
  end)

  it("records the exit code, and the signal", function()
    wait_for_app("code", "has ended with 42", function(seen) return seen["return"] == 42 end)
    wait_for_app("signal", "has ended by SIGSEGV", function(seen) return seen["return"] == 128 + 11 end)
  end)

  it("tells a failed start with the reason and the path", function()
    local expected = {
      missing = {"No such file or directory", "/nonexistent/program"},
      nodir = {"No such file or directory", "/nonexistent/dir"},
      nouser = {"no such user", "no_such_user_here"},
      noexec = {"Permission denied", scratch .. "/data"},
      toolong = {"Argument list too long"},
    }
    for name, texts in pairs(expected) do
      local seen = wait_for_app(name, "shows an error", function(seen) return (seen.error or "") ~= "" end)
      for _, text in ipairs(texts) do
        assert.truthy(seen.error:find(text, 1, true), name .. ": " .. seen.error)
      end
    end
  end)

  it("does not start what is disabled", function()
    assert.equal(0, #test:sleepers("disabled"))
    assert.equal(0, app("disabled").status)
  end)

  --- Kills the process of a sleeper and waits for another one; a killed one may be seen for a moment longer.
  local function kill_and_wait(name)
    local killed = test:sleepers(name)[1]
    uv.kill(killed, "sigkill")
    return loop.wait_for(name .. " has another process", 10000, function()
      local now = test:sleepers(name)
      return #now == 1 and now[1] ~= killed and now[1]
    end)
  end

  it("starts a killed application again at once, and then with a growing delay", function()
    local second = kill_and_wait("plain")
    local seen = wait_for_app("plain", "shows the restart", function(seen) return (seen.restarts or 0) >= 1 end)
    assert.equal(second, seen.pid)
    uv.kill(second, "sigkill")
    wait_for_app("plain", "waits in back-off", function(now) return now.state == "backoff" end, 5000)
    test:wait_for_sleepers("plain", 1, 10000)
  end)

  it("keeps everything when the agent is killed, and starts nothing twice", function()
    local pids, keeper = {test:sleepers("plain")[1], test:sleepers("talker")[1]}, alpha:keeper_pid()
    alpha:stop("sigkill")
    -- What fails while nobody is there is the keeper's own business.
    local revived = kill_and_wait("array")
    alpha:start()
    wait_for_app("array", "is known with its new process", function(seen) return seen.pid == revived end)
    assert.same(pids, {test:sleepers("plain")[1], test:sleepers("talker")[1]})
    assert.equal(keeper, alpha:keeper_pid())
    assert.equal(1, #test:sleepers("plain"))
  end)

  it("keeps everything when the keeper is killed: another one takes it over", function()
    local pids, keeper = {test:sleepers("plain")[1], test:sleepers("talker")[1]}, alpha:keeper_pid()
    uv.kill(keeper, "sigkill")
    loop.wait_for("another keeper runs", 15000, function()
      local now = alpha:keeper_pid()
      return now and now ~= keeper
    end)
    wait_for_app("plain", "is held by it", function(seen) return seen.pid == pids[1] end)
    assert.same(pids, {test:sleepers("plain")[1], test:sleepers("talker")[1]})
    assert.equal(1, #test:sleepers("plain"))
  end)

  it("follows its configuration on SIGHUP: what is new starts, what is gone stops, what is changed is replaced", function()
    local plain = test:sleepers("plain")[1]
    local list = {}
    for _, one in ipairs(alpha.config.Applications) do
      if one.name ~= "array" then
        list[#list + 1] = one
      end
      if one.name == "talker" then
        one.command = test:sleeper("quiet")
      end
    end
    list[#list + 1] = {name = "added", command = test:sleeper("added")}
    alpha:configure{Applications = list}
    alpha.process:kill("sighup")
    test:wait_for_sleepers("added", 1)
    test:wait_for_sleepers("quiet", 1)
    test:wait_for_sleepers("talker", 0)
    test:wait_for_sleepers("array", 0)
    assert.same({plain}, test:sleepers("plain"))
  end)

  it("keeps what it has when the new configuration is broken", function()
    local plain = test:sleepers("plain")[1]
    process.spit(alpha.config_path, "{ \"Applications\": [ oops")
    alpha.process:kill("sighup")
    alpha:wait_for_log(alpha.config_path)
    assert.same({plain}, test:sleepers("plain"))
    assert.truthy(alpha.process:is_running())
    alpha:configure()
  end)

  it("stops whole groups on leave, with SIGKILL for what does not listen, and leaves nothing", function()
    test:wait_for_sleepers("shell", 2)
    test:wait_for_sleepers("stubborn", 1)
    local keeper = alpha:keeper_pid()
    local result = alpha:cli("leave")
    assert.equal(0, result.code, result.stderr)
    alpha.process:wait(15000)
    for _, name in ipairs{"plain", "shell", "stubborn", "added", "quiet"} do
      assert.equal(0, #test:sleepers(name), name)
    end
    loop.wait_for("the keeper ends", 5000, function() return process.look(keeper) == nil end)
    assert.is_nil(uv.fs_stat(alpha.socket))
  end)

  it("never told a value of env in its log", function()
    assert.is_nil(alpha:log():find("hunter2-secret", 1, true))
  end)
end)
