--- An application's life from the command line.
local json = require("dkjson")
local uv = require("luv")
local Agent = require("tests.lib.agent")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

--- Runs `appmgr app …` and expects it to be done.
local function app(agent, ...)
  local result = agent:cli("app", ...)
  assert.equal(0, result.code, result.stderr)
  return result.stdout
end

local function refused(agent, text, ...)
  local result = agent:cli("app", ...)
  assert.equal(1, result.code, result.stdout)
  assert.equal("", result.stdout)
  has(result.stderr, text)
end

--- What an application wrote is in its file a moment later.
local function wait_for_logs(agent, name, expected)
  loop.wait_for(name .. " has written it", 10000, function()
    local text = app(agent, "logs", name)
    return text == expected, text
  end)
end

local function wait_for_state(agent, name, state)
  return loop.wait_for(name .. " is " .. state, 10000, function()
    local row, why = agent:app(name)
    return row and row.state == state and row, why or json.encode(row)
  end)
end

describe("local applications", function()
  local test, alpha

  setup(function()
    test = harness.open()
    alpha = test:agent("alpha", {config = {Applications = {
      {name = "own", command = test:sleeper("own")},
      {name = "crash", command = "echo up; exit 3", restart = {attempts = 2, delay_seconds = 0, max_delay_seconds = 0}},
    }}}):start()
    test:wait_for_sleepers("own", 1)
  end)

  teardown(function() test:close() end)

  local function add(name, document)
    document.name = name
    return app(alpha, "add", "-", {stdin = json.encode(document)})
  end

  local function reload()
    alpha:wait_for_more_log("configuration read again", function() alpha.process:kill("sighup") end)
  end

  local function history_files()
    local scan, names = assert(uv.fs_scandir(alpha.state_dir .. "/history")), {}
    for name in function() return uv.fs_scandir_next(scan) end do
      names[#names + 1] = name
    end
    return names
  end

  it("can be asked after again when the agent's socket was removed", function()
    assert(os.remove(alpha.socket))
    local refusal = alpha:cli("app", "ls")
    assert.equal(1, refusal.code)
    assert.truthy(refusal.stderr:find("made anew on SIGHUP", 1, true), refusal.stderr)
    reload()
    assert.equal(0, alpha:cli("app", "ls").code)
  end)

  it("are added, and stay through every kind of restart and reload", function()
    assert.equal('application "extra" added\n', add("extra", {command = test:sleeper("extra")}))
    local pids = test:wait_for_sleepers("extra", 1)
    assert.equal('application "extra" unchanged\n', add("extra", {command = test:sleeper("extra")}))
    reload()
    for _, signal in ipairs{"sigterm", "sigkill"} do
      alpha:stop(signal)
      alpha:start()
      wait_for_state(alpha, "extra", "running")
    end
    assert.same(pids, test:sleepers("extra"))
    local keeper = alpha:keeper_pid()
    uv.kill(keeper, "sigkill")
    loop.wait_for("another keeper runs", 10000, function()
      local now = alpha:keeper_pid()
      return now and now ~= keeper
    end)
    wait_for_state(alpha, "extra", "running")
    assert.same(pids, test:sleepers("extra"))
  end)

  it("are checked before the first is added", function()
    process.spit(test.dir .. "/good.json", json.encode{name = "good", command = test:sleeper("good")})
    process.spit(test.dir .. "/bad.json", json.encode{name = "bad", comand = "x"})
    refused(alpha, 'bad.json: application "bad": comand: unknown field; did you mean "command"?', "add",
      test.dir .. "/good.json", test.dir .. "/bad.json")
    assert.is_nil(process.slurp(alpha.state_dir .. "/applications.json"):find("good", 1, true))
  end)

  it("are added and removed many at a time, and one that is refused keeps none of the others", function()
    local paths, names, expected = {}, {}, {}
    for index = 1, 40 do
      local name = ("many%02d"):format(index)
      names[index], paths[index] = name, test.dir .. "/" .. name .. ".json"
      expected[index] = ('application "%s" added\n'):format(name)
      process.spit(paths[index], json.encode{name = name, command = test:sleeper("many")})
    end
    process.spit(test.dir .. "/own.json", json.encode{name = "own", command = "true"})
    table.insert(paths, 20, test.dir .. "/own.json")
    local own = test:sleepers("own")
    local result = alpha:cli("app", "add", table.unpack(paths))
    assert.equal(1, result.code)
    assert.equal(table.concat(expected), result.stdout)
    assert.equal(('appmgr: application "own" stands in the configuration (%s): change it there and send SIGHUP to the agent\n')
      :format(alpha.config_path), result.stderr)
    test:wait_for_sleepers("many", 40)
    assert.same(own, test:sleepers("own"))
    names[41] = "many99"
    result = alpha:cli("app", "rm", table.unpack(names))
    assert.equal(1, result.code)
    has(result.stderr, 'there is no local application "many99"')
    assert.equal(40, select(2, result.stdout:gsub("removed\n", "")))
    test:wait_for_sleepers("many", 0)
  end)

  it("give way to the configuration: refused while it has the name, set aside when it gets it", function()
    refused(alpha, ("stands in the configuration (%s)"):format(alpha.config_path), "add", "-",
      {stdin = json.encode{name = "own", command = "true"}})
    refused(alpha, ("stands in the configuration (%s)"):format(alpha.config_path), "rm", "own")
    add("both", {command = test:sleeper("byhand")})
    test:wait_for_sleepers("byhand", 1)
    table.insert(alpha.config.Applications, {name = "both", command = test:sleeper("configured")})
    alpha:configure()
    reload()
    test:wait_for_sleepers("configured", 1)
    test:wait_for_sleepers("byhand", 0)
    has(alpha:cli("status").stdout, '"appmgr app rm both" removes the other')
    app(alpha, "rm", "both")
    assert.equal(1, #test:sleepers("configured"))
    assert.is_nil(alpha:cli("status").stdout:find("app rm both", 1, true))
    table.remove(alpha.config.Applications)
    alpha:configure()
    reload()
    test:wait_for_sleepers("configured", 0)
    test:wait_for_sleepers("byhand", 0)
  end)

  it("are disabled and enabled, whatever the document says, until that changes", function()
    assert.equal('application "own" disabled\napplication "extra" disabled\n', app(alpha, "disable", "own", "extra"))
    test:wait_for_sleepers("own", 0)
    test:wait_for_sleepers("extra", 0)
    reload()
    alpha:stop("sigkill")
    alpha:start()
    wait_for_state(alpha, "own", "disabled")
    assert.equal(0, #test:sleepers("own") + #test:sleepers("extra"))
    refused(alpha, '"appmgr app enable own" starts it', "restart", "own")
    assert.equal('application "own" is disabled already\n', app(alpha, "disable", "own"))
    app(alpha, "enable", "own")
    test:wait_for_sleepers("own", 1)
    add("extra", {command = test:sleeper("extra"), status = 0})
    add("extra", {command = test:sleeper("extra"), status = 1})
    test:wait_for_sleepers("extra", 1)
  end)

  it("are restarted once, and the answer comes when they run", function()
    local before = test:sleepers("own")[1]
    local out = app(alpha, "restart", "own")
    local now = test:sleepers("own")
    assert.equal(1, #now)
    assert.not_equal(before, now[1])
    assert.equal(('application "own" runs again as pid %d\n'):format(now[1]), out)
    assert.is_nil(process.look(before))
    assert.equal("restarted", alpha:json("app", "restart", "own")[1].outcome)
  end)

  it("that gave up start again by hand", function()
    wait_for_state(alpha, "crash", "gave_up")
    local function starts() return select(2, app(alpha, "logs", "-n", "100", "crash"):gsub("up\n", "")) end
    local function expect_starts(count)
      loop.wait_for(("it ran %d times"):format(count), 10000, function() return starts() == count, starts() end)
    end
    expect_starts(3)
    app(alpha, "restart", "crash")
    wait_for_state(alpha, "crash", "gave_up")
    expect_starts(6)
    assert.equal('application "crash" enabled\n', app(alpha, "enable", "crash"))
    expect_starts(9)
  end)

  it("have a history that misses nothing while no agent runs", function()
    add("worker", {command = test:sleeper("worker"), restart = {delay_seconds = 0, max_delay_seconds = 0}})
    local first = test:wait_for_sleepers("worker", 1)[1]
    uv.kill(first, "sigkill")
    loop.wait_for("a second runs", 10000, function() return (test:sleepers("worker")[1] or first) ~= first end)
    local second = test:sleepers("worker")[1]
    alpha:stop("sigkill")
    uv.kill(second, "sigterm")
    loop.wait_for("a third runs", 10000, function() return (test:sleepers("worker")[1] or second) ~= second end)
    alpha:start()
    wait_for_state(alpha, "worker", "running")
    local runs = loop.wait_for("three runs are told", 5000, function()
      local list = alpha:json("app", "exec-history", "worker")
      return #list == 3 and list, json.encode(list)
    end)
    assert.same({first, second, test:sleepers("worker")[1]}, {runs[1].pid, runs[2].pid, runs[3].pid})
    assert.same({9, 15}, {runs[1].signal, runs[2].signal})
    assert.is_nil(runs[3].end_time)
    for _, field in ipairs{"start_time", "end_time", "ran_seconds"} do
      assert.truthy(runs[2][field], field)
    end
    alpha:stop("sigterm")
    alpha:start()
    wait_for_state(alpha, "worker", "running")
    assert.equal(3, #alpha:json("app", "exec-history", "worker"))
    has(app(alpha, "exec-history", "worker"), "signal 15")
    assert.equal(1, #alpha:json("app", "exec-history", "-n", "1", "worker"))
    has(app(alpha, "exec-history", "crash"), "exit code 3")
    refused(alpha, 'did you mean "worker"?', "exec-history", "wroker")
  end)

  it("are removed for good", function()
    app(alpha, "rm", "worker", "extra")
    test:wait_for_sleepers("extra", 0)
    test:wait_for_sleepers("worker", 0)
    refused(alpha, "there is no local application", "rm", "worker")
    alpha:stop("sigterm")
    alpha:start()
    wait_for_state(alpha, "own", "running")
    assert.equal(0, #test:sleepers("extra") + #test:sleepers("worker"))
    assert.equal(2, #history_files(), "those of own and crash")
  end)

  it("that may have been added go on when the state file is broken, until it is repaired", function()
    add("extra", {command = test:sleeper("extra")})
    local pids = test:wait_for_sleepers("extra", 1)
    alpha:stop("sigterm")
    local path = alpha.state_dir .. "/applications.json"
    local good = process.slurp(path)
    process.spit(path, good:sub(1, 20))
    alpha:start()
    wait_for_state(alpha, "extra", "running")
    has(alpha:cli("status").stdout, "applications.json cannot be used")
    refused(alpha, "applications.json", "rm", "extra")
    assert.same(pids, test:sleepers("extra"))
    process.spit(path, good)
    reload()
    assert.same(pids, test:sleepers("extra"))
    app(alpha, "rm", "extra")
    test:wait_for_sleepers("extra", 0)
  end)
end)

describe("what a process is given", function()
  local test, alpha

  setup(function()
    test = harness.open()
    alpha = test:agent("alpha", {config = {Applications = {
      {name = "given", command = "nice; umask; ulimit -n; grep NoNewPrivs /proc/self/status; exec " .. test:sleeper("given"),
        nice = 7, umask = "0027", limits = {open_files = 321}, no_new_privs = true},
      {name = "plain", command = "umask; grep NoNewPrivs /proc/self/status; exec " .. test:sleeper("plain")},
      {name = "greedy", command = "true", limits = {open_files = 1073741824}},
    }}}):start()
    test:wait_for_sleepers("given", 1)
  end)

  teardown(function() test:close() end)

  it("is what its document asks for", function()
    wait_for_logs(alpha, "given", "7\n0027\n321\nNoNewPrivs:\t1\n")
    local row = alpha:json("app", "show", "given")
    assert.same({7, "027", 321, true}, {row.nice, row.umask, row.limits.open_files, row.no_new_privs})
    test:wait_for_sleepers("plain", 1)
    wait_for_logs(alpha, "plain", "0022\nNoNewPrivs:\t0\n")
  end)

  it("is told when it cannot be had", function()
    local row = wait_for_state(alpha, "greedy", "backoff")
    has(row.error, "EPERM: limits open_files 1073741824")
  end)

  it("needs a new process when it changes", function()
    local given, plain = test:sleepers("given")[1], test:sleepers("plain")[1]
    alpha.config.Applications[1].umask = "077"
    alpha:configure()
    alpha.process:kill("sighup")
    loop.wait_for("a new process runs", 10000, function() return (test:sleepers("given")[1] or given) ~= given end)
    loop.wait_for("it has written its umask", 10000, function()
      local text = app(alpha, "logs", "given")
      return text:find("0077", 1, true), text
    end)
    assert.equal(plain, test:sleepers("plain")[1])
  end)
end)

describe("a follower of output", function()
  local test, alpha, out, follower

  setup(function()
    test = harness.open()
    local quiet = {name = "quiet", command = "echo one; exec " .. test:sleeper("quiet")}
    alpha = test:agent("alpha", {config = {Applications = {quiet}}}):start()
    test:wait_for_sleepers("quiet", 1)
    loop.wait_for("it has written", 5000, function() return app(alpha, "logs", "quiet") == "one\n" end)
    out = test.dir .. "/followed"
    follower = process.start({Agent.binary(), "app", "logs", "-f", "quiet"},
      {stdout = out, stderr = out .. ".err", env = {APPMGR_SOCKET = alpha.socket}})
  end)

  teardown(function()
    follower:stop("sigint")
    test:close()
  end)

  local function expect(text)
    loop.wait_for("what is written is followed", 10000, function() return process.slurp(out) == text, process.slurp(out) end)
  end

  --- Moves the file away, with a last line that nobody has read yet, and begins a new one; as the logger does.
  local function rotate(last, first)
    local path = alpha.state_dir .. "/log/quiet.log"
    local file = assert(io.open(path, "a"))
    file:write(last)
    file:close()
    os.rename(path .. ".1", path .. ".2")
    os.rename(path, path .. ".1")
    process.spit(path, first)
  end

  it("misses nothing of files that are moved away, however fast", function()
    expect("one\n")
    rotate("two\n", "three\n")
    rotate("four\n", "five\n")
    expect("one\ntwo\nthree\nfour\nfive\n")
  end)

  it("goes on where it was when the agent was killed and is back", function()
    alpha:stop("sigkill")
    rotate("six\n", "seven\n")
    loop.wait_for("it says so", 5000, function() return process.slurp(out .. ".err"):find("the agent is away", 1, true) end)
    alpha:start()
    expect("one\ntwo\nthree\nfour\nfive\nsix\nseven\n")
    assert.truthy(follower:is_running())
  end)

  it("shows the last lines across files that were moved away", function()
    assert.equal("six\nseven\n", app(alpha, "logs", "-n", "2", "quiet"))
    assert.equal("four\nfive\nsix\nseven\n", app(alpha, "logs", "-n", "4", "quiet"))
  end)

  it("says that lines may be missing where the file that it read was removed, even if the next has its inode", function()
    local path = alpha.state_dir .. "/log/quiet.log"
    alpha:stop("sigkill") -- so that nobody looks in between
    assert(os.remove(path))
    process.spit(path, "of which nothing was read\n")
    alpha:start()
    loop.wait_for("it goes on", 10000, function()
      return process.slurp(out):find("seven\nof which nothing was read\n", 1, true), process.slurp(out)
    end)
    assert.truthy(process.slurp(out .. ".err"):find("lines may be missing here", 1, true))
  end)
end)

describe("replicas of tasks", function()
  local test, consul, alpha

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    alpha = test:join("alpha", consul)
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1, 15000)
    wait_for_state(alpha, "web", "running")
  end)

  teardown(function() test:close() end)

  it("are restarted by hand, the rest is the task's", function()
    local pid = test:sleepers("web")[1]
    app(alpha, "restart", "web")
    assert.not_equal(pid, test:wait_for_sleepers("web", 1)[1])
    for command, hint in pairs{disable = "appmgr task disable web", rm = "appmgr task rm web",
      enable = "appmgr app restart web"} do
      refused(alpha, hint, command, "web")
    end
    has(app(alpha, "exec-history", "web"), "stopped")
  end)

  it("make room for a local application that is added, which the cluster hears of", function()
    local result = alpha:cli("app", "add", "-", {stdin = json.encode{name = "web", command = test:sleeper("local")}})
    assert.equal(0, result.code)
    has(result.stderr, 'task "web" is not run on node "alpha"')
    test:wait_for_sleepers("local", 1)
    test:wait_for_sleepers("web", 0)
    loop.wait_for("live/alpha names it", 10000, function()
      return consul:document("live/alpha").local_applications[1] == "web"
    end)
    app(alpha, "rm", "web")
    test:wait_for_sleepers("local", 0)
    test:wait_for_sleepers("web", 1, 15000)
  end)
end)
