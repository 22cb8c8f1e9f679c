--- Applications that are not as they should be: what the operator sees of each.
-- (Those that cannot be started for their user, directory or program stand in process_spec.lua.)
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("an application that", function()
  local test, alpha

  local function script(name, text)
    local path = test.dir .. "/" .. name
    process.spit(path, text)
    uv.fs_chmod(path, 493)
    return path
  end

  setup(function()
    test = harness.open()
    local once = {attempts = 0}
    alpha = test:agent("alpha", {config = {Applications = {
      {name = "interpreter", command = script("interpreter", "#!/no/such/interpreter\n"), restart = once},
      {name = "folder", command = test.dir, restart = once},
      {name = "word", command = "no_such_program_here --flag", restart = once},
      {name = "binary", command = script("binary", "no program\n"), restart = once},
      {name = "hanging", command = test:sleeper("hanging"), health_check = {
        cmd = test:sleeper("check") .. " & " .. test:sleeper("check") .. " & wait", timeout_seconds = 0.3,
        interval_seconds = 0.5, unhealthy_threshold = 1}},
      {name = "nocheck", command = test:sleeper("nocheck"), health_check = {
        cmd = "/no/such/check", interval_seconds = 0.5, unhealthy_threshold = 1}},
      {name = "deaf", command = "trap '' TERM; echo up; while :; do sleep 0.05; done", stop_timeout = 0.5},
      {name = "silent", command = "exec >&- 2>&-; exec " .. test:sleeper("silent")},
      {name = "daemon", command = "(" .. test:sleeper("daemon") .. ") & exit 0", restart = {attempts = 1}},
      {name = "slow", command = "true", init_command = test:sleeper("slow"), init_timeout = 0.3, restart = once},
      {name = "messy", command = "true", fini_command = "echo cannot tidy; exit 9", restart = once},
      {name = "narrow", command = "true", ready = "fd", ready_fd = 9, limits = {open_files = 5}, restart = once},
    }}}):start()
    test:wait_for_sleepers("hanging", 1)
  end)

  teardown(function() test:close() end)

  local function wait_for(name, what, condition)
    return loop.wait_for(name .. " " .. what, 10000, function()
      local row, why = alpha:app(name)
      return row and condition(row) and row, why or json.encode(row)
    end)
  end

  local function shows(name, state, ...)
    local row = wait_for(name, "is " .. state, function(row) return row.state == state and (row.error or "") ~= "" end)
    for _, text in ipairs{...} do
      assert.truthy(row.error:find(text, 1, true), row.error)
    end
    return row
  end

  it("names an interpreter that is not there is told so", function()
    shows("interpreter", "failed", "ENOENT", test.dir .. "/interpreter", "the interpreter or loader it names is not")
  end)

  it("is a folder, or is nowhere in PATH, or is no program, is told which", function()
    shows("folder", "failed", "EACCES", test.dir)
    shows("word", "failed", "no_such_program_here", "not found in PATH")
    shows("binary", "failed", "ENOEXEC", "Exec format error")
  end)

  it("has a health check that hangs is unhealthy, and nothing of the check is left", function()
    local row = wait_for("hanging", "is sick", function(row) return row.health == 1 and row.error end)
    assert.equal("unhealthy: health check did not end within 0.3 s and was killed", row.error)
    assert.equal("running", row.state)
    alpha:stop("sigkill") -- what is under way is the keeper's to end
    test:wait_for_sleepers("check", 0, 5000)
    assert.equal(1, #test:sleepers("hanging"))
    alpha:start()
    wait_for("hanging", "is looked at again", function(now) return now.health == 1 and now.error end)
  end)

  it("has a health check that is no program is told which", function()
    local row = wait_for("nocheck", "is sick", function(row) return row.health == 1 and row.error end)
    assert.truthy(row.error:find("ENOENT: exec /no/such/check", 1, true), row.error)
  end)

  it("does not listen to SIGTERM is killed after its stop_timeout, and its code says so", function()
    wait_for("deaf", "runs", function(row) return row.state == "running" end)
    assert.equal(0, alpha:cli("app", "disable", "deaf").code)
    local row = wait_for("deaf", "is stopped", function(now) return now.state == "disabled" end)
    assert.equal(128 + 9, row["return"])
    assert.truthy(alpha:cli("app", "exec-history", "deaf").stdout:find("signal 9, stopped", 1, true))
  end)

  -- A lease on its program makes the kernel wait in execve, as a file system does whose server has gone.
  it("does not begin to run, because its file system hangs, holds up nothing else", function()
    local slow = test.dir .. "/sleep"
    assert.equal(0, process.run({"cp", "/bin/sleep", slow}).code)
    local holder = process.start({"perl", "-e", [[$SIG{IO} = "IGNORE"; open(my $file, "<", $ARGV[0]) or die;
      fcntl($file, 1024, 1) or die "no lease: $!"; $| = 1; print "held\n"; sleep 1000]], slow}, {stdout = test.dir .. "/holder"})
    loop.wait_for("the lease", 10000, function() return (process.slurp(test.dir .. "/holder") or ""):find("held") end)
    local document = json.encode{name = "stuck", command = {slow, "1000"}, restart = {attempts = 0}}
    assert.equal(0, alpha:cli("app", "add", "-", {stdin = document}).code)
    local row = wait_for("stuck", "is told", function(now) return now.error end)
    assert.equal("starting", row.state)
    assert.truthy(row.error:find(slow .. " has not begun to run 5 s after its start", 1, true), row.error)
    assert.equal(0, alpha:cli("app", "restart", "silent").code)
    test:wait_for_sleepers("silent", 1)
    local refusal = alpha:cli("app", "restart", "stuck")
    assert.equal(1, refusal.code)
    assert.truthy(refusal.stderr:find('application "stuck" does not run: ' .. row.error, 1, true), refusal.stderr)
    assert.equal(0, alpha:cli("app", "disable", "stuck").code)
    wait_for("stuck", "is stopped", function(now) return now.state == "disabled" and not now.error end)
    holder:stop("sigkill")
    assert.equal(0, alpha:cli("app", "enable", "stuck").code)
    wait_for("stuck", "runs", function(now) return now.state == "running" end)
    assert.equal(0, alpha:cli("app", "rm", "stuck").code)
  end)

  it("closes its output goes on", function()
    test:wait_for_sleepers("silent", 1)
    assert.equal("running", alpha:json("app", "show", "silent").state)
    assert.truthy(alpha:cli("app", "logs", "silent").stderr:find("has written nothing yet", 1, true))
    assert.equal(0, alpha:cli("app", "restart", "silent").code)
    test:wait_for_sleepers("silent", 1)
  end)

  it("goes to the background has ended, and is not started beside what it left", function()
    local row = wait_for("daemon", "gave up", function(now) return now.state == "gave_up" end)
    assert.same({0, 1}, {row["return"], row.restarts})
    test:wait_for_sleepers("daemon", 0)
  end)

  it("is not prepared in time is not started", function()
    shows("slow", "failed", "init_command: did not end within 0.3 s and was killed")
    test:wait_for_sleepers("slow", 0)
  end)

  it("cannot clean up after itself says so, and its own code stays", function()
    local row = shows("messy", "failed", "fini_command: exited with 9")
    assert.equal(0, row["return"])
    alpha:wait_for_log("messy: fini_command: exited with 9")
  end)

  it("has ended for good is not started by an agent that comes back", function()
    local function history() return alpha:cli("app", "exec-history", "messy").stdout end
    local before = history()
    for _, signal in ipairs{"sigterm", "sigkill"} do
      alpha:stop(signal)
      alpha:start()
      local row = shows("messy", "failed", "fini_command: exited with 9")
      assert.equal(0, row.restarts)
    end
    assert.equal(before, history())
  end)

  it("cannot be given its readiness descriptor is told which", function()
    shows("narrow", "failed", "EBADF: ready ready_fd 9")
  end)
end)
