--- What belongs to a run beside its command: init and fini, readiness, health, reload; and tasks that are restarted.
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local function has(text, part)
  assert.truthy((text or ""):find(part, 1, true), ("%q lacks %q"):format(text, part))
end

local function wait_for_row(agent, name, what, condition)
  return loop.wait_for(name .. " " .. what, 10000, function()
    local row, why = agent:app(name)
    return row and condition(row) and row, why or json.encode(row)
  end)
end

describe("an application that is looked after", function()
  local test, alpha, well, order, listener, port

  --- A server that answers each request.
  local function serve()
    listener = uv.new_tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen(16, function()
      local connection = uv.new_tcp()
      listener:accept(connection)
      connection:read_start(function(_, bytes)
        if not bytes then return connection:close() end
        connection:write("HTTP/1.1 204 No Content\r\n\r\n")
      end)
    end)
    return listener:getsockname().port
  end

  setup(function()
    test = harness.open()
    uv.fs_chmod(test.dir, 493)
    well, order, port = test.dir .. "/well", test.dir .. "/order", serve()
    process.spit(well, "")
    local check = {interval_seconds = 0.2, unhealthy_threshold = 2}
    local function with(changes)
      for name, value in pairs(check) do changes[name] = changes[name] or value end
      return changes
    end
    alpha = test:agent("alpha", {config = {Applications = {
      {name = "cmd", command = test:sleeper("cmd"), health_check = with{cmd = "test -e " .. well}, env = {SECRET = "s3cr3t"}},
      {name = "renewed", command = test:sleeper("renewed"), health_check = with{cmd = "test -e " .. well, restart = true},
        restart = {delay_seconds = 0, max_delay_seconds = 0}},
      {name = "nobody", command = test:sleeper("nobody"), user = "nobody", working_dir = "/usr", env = {KEY = "s3cr3t"},
        health_check = with{cmd = [[test "$(id -un) $PWD $KEY $APPMGR_NODE" = "nobody /usr s3cr3t alpha"]]}},
      {name = "http", command = test:sleeper("http"), health_check = with{http = "http://127.0.0.1:" .. port .. "/health"}},
      {name = "tcp", command = test:sleeper("tcp"), health_check = with{tcp = port}},
      {name = "told", command = "sleep 0.5; echo >&4; exec " .. test:sleeper("told"), ready = "fd", ready_fd = 4},
      {name = "late", command = test:sleeper("late"), ready = "fd", ready_timeout = 0.3, restart = {attempts = 0}},
      {name = "phases", command = "echo main >> " .. order .. "; exec " .. test:sleeper("phases"),
        init_command = "echo init >> " .. order, fini_command = "echo fini >> " .. order},
      {name = "refused", command = test:sleeper("refused"), init_command = "echo no database; exit 3"},
      {name = "hup", command = "trap 'echo again' HUP; while :; do sleep 0.05; done", reload_signal = "HUP"},
    }}}):start()
    test:wait_for_sleepers("cmd", 1)
  end)

  teardown(function()
    if listener then listener:close() end
    test:close()
  end)

  local function is_well(row) return row.state == "running" and row.health == 0 end
  --- Waits until it runs and a check says this.
  local function sick(name, text)
    return wait_for_row(alpha, name, "is sick: " .. text, function(row)
      return row.state == "running" and row.health == 1 and (row.error or ""):find(text, 1, true)
    end)
  end

  it("is well by a command, by an HTTP answer and by a connection, and says when it is not, and is again", function()
    for _, name in ipairs{"cmd", "http", "tcp", "renewed"} do wait_for_row(alpha, name, "is well", is_well) end
    uv.fs_unlink(well)
    listener:close()
    listener = nil
    sick("cmd", "unhealthy: health check exited with 1")
    sick("http", "cannot connect: Connection refused")
    sick("tcp", "cannot connect: Connection refused")
    has(alpha:cli("app", "ls").stdout, "unhealthy: health check exited with 1")
    has(alpha:cli("status").stdout, "of those that run unhealthy")
    assert.is_nil(alpha:log():find("s3cr3t", 1, true))
  end)

  it("is looked at by its own user, in its folder and environment", function()
    wait_for_row(alpha, "nobody", "is well", is_well)
  end)

  it("is ended and started anew where that is asked for, by the keeper's rules", function()
    wait_for_row(alpha, "renewed", "is restarted", function(row) return row.restarts >= 2 end)
    process.spit(well, "")
    wait_for_row(alpha, "renewed", "is well", is_well)
    assert.equal(0, wait_for_row(alpha, "cmd", "is well again", is_well).restarts)
    has(alpha:log(), "renewed: is ended because it is unhealthy")
  end)

  it("is not running before it has said that it is ready, also to an agent that comes back", function()
    wait_for_row(alpha, "told", "is ready", is_well)
    alpha:stop("sigkill")
    alpha:start()
    wait_for_row(alpha, "told", "is known to be ready", is_well)
    local result = alpha:cli("app", "restart", "told")
    has(result.stdout, "runs again")
    assert.equal("running", alpha:json("app", "show", "told").state)
  end)

  it("is ended when it is not ready in time, and not started again where it may not be", function()
    local late = wait_for_row(alpha, "late", "has ended", function(row) return row.state == "failed" end)
    has(late.error, "was not ready within 0.3 s")
    assert.equal(1, late.health)
    test:wait_for_sleepers("late", 0)
  end)

  it("is prepared and cleaned up after at each run, also at those that the keeper begins alone", function()
    test:wait_for_sleepers("phases", 1)
    alpha:stop("sigkill")
    local first = test:sleepers("phases")[1]
    uv.kill(first, "sigkill")
    loop.wait_for("it runs again", 10000, function() return (test:sleepers("phases")[1] or first) ~= first end)
    alpha:start()
    assert.equal("init\nmain\nfini\ninit\nmain\n", process.slurp(order))
    assert.equal(0, alpha:cli("app", "disable", "phases").code)
    wait_for_row(alpha, "phases", "is stopped", function(row) return row.state == "disabled" end)
    assert.equal("init\nmain\nfini\ninit\nmain\nfini\n", process.slurp(order))
  end)

  it("is not started when its init_command fails, and says why and where to look", function()
    local row = wait_for_row(alpha, "refused", "says why", function(row) return row.state == "backoff" end)
    assert.equal('init_command: exited with 3; "appmgr app logs refused" shows what it wrote', row.error)
    assert.equal(0, #test:sleepers("refused"))
    has(alpha:cli("app", "logs", "refused").stdout, "no database")
  end)

  it("reads its configuration again at the signal that its document names", function()
    wait_for_row(alpha, "hup", "runs", is_well)
    local result = alpha:cli("app", "reload", "hup", "cmd")
    assert.equal(1, result.code)
    assert.equal('application "hup" was sent signal 1\n', result.stdout)
    has(result.stderr, 'application "cmd" is not reloaded: its document has no "reload_signal"')
    loop.wait_for("it has heard", 5000, function() return alpha:cli("app", "logs", "hup").stdout == "again\n" end)
  end)

  it("is checked in another way from now on when its document says so, and goes on", function()
    local pid = test:sleepers("cmd")[1]
    alpha.config.Applications[1].health_check = {cmd = "exit 5", interval_seconds = 0.2, unhealthy_threshold = 1}
    alpha:configure()
    alpha.process:kill("sighup")
    sick("cmd", "exited with 5")
    assert.same({pid}, test:sleepers("cmd"))
  end)
end)

describe("a task", function()
  local test, consul, alpha, well

  setup(function()
    test = harness.open()
    well = test.dir .. "/well"
    process.spit(well, "")
    consul = test:start_consul()
    alpha = test:join("alpha", consul)
    consul:put("task/web", {replication = 2, max_per_node = 2, content = {
      command = test:sleeper("web"), ready = "health", health_check = {cmd = "test -e " .. well, interval_seconds = 0.2},
    }})
    test:wait_for_sleepers("web", 2, 15000)
  end)

  teardown(function() test:close() end)

  local function task(...)
    local result = alpha:cli("task", ...)
    assert.equal(0, result.code, result.stderr)
    return result.stdout
  end

  --- Pids by the name of the application.
  local function pids()
    local by_name = {}
    for _, row in ipairs(alpha:json("app", "ls")) do by_name[row.name] = row.pid end
    return by_name
  end

  it("is restarted one replica after the other: the next when the one before is ready", function()
    for _, name in ipairs{"web", "web#2"} do
      wait_for_row(alpha, name, "is ready", function(row) return row.state == "running" end)
    end
    local before = pids()
    uv.fs_unlink(well)
    has(task("restart", "web"), '"appmgr task show web" follows it')
    wait_for_row(alpha, "web", "runs anew", function(row) return row.state == "starting" and row.pid ~= before.web end)
    test:expect_decision(consul)
    assert.equal(before["web#2"], pids()["web#2"])
    process.spit(well, "")
    wait_for_row(alpha, "web#2", "runs anew", function(row) return row.state == "running" and row.pid ~= before["web#2"] end)
    assert.matches("^%d%d%d%d%-", consul:document("task/web").content.restarted_at)
  end)

  it("is disabled and enabled on all nodes, and its replicas say which command does that", function()
    has(task("disable", "web"), 'task "web" disabled')
    test:wait_for_sleepers("web", 0)
    has(task("disable", "web"), "is disabled already")
    wait_for_row(alpha, "web", "shows it", function(row) return row.state == "disabled" and row.status == 0 end)
    has(alpha:cli("app", "enable", "web").stderr, '"appmgr task enable web" starts it on all nodes')
    local refused = alpha:cli("task", "restart", "web")
    assert.equal(1, refused.code)
    has(refused.stderr, '"appmgr task enable web" starts it')
    has(task("enable", "web"), 'task "web" enabled')
    test:wait_for_sleepers("web", 2, 15000)
    has(alpha:cli("task", "enable", "wob").stderr, 'did you mean "web"?')
  end)
end)
