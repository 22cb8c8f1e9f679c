local Apps = require("appmgr.node.apps")
local Health = require("appmgr.node.health")
local Probe = require("appmgr.node.probe")
local Problems = require("appmgr.problems")
local Schedule = require("appmgr.node.schedule")
local Turns = require("appmgr.turns")
local Zone = require("appmgr.when.zone")
local application = require("appmgr.application")
local clock = require("appmgr.clock")
local core = require("spec.support.core")
local fake_history = require("spec.support.fake_history")
local fake_log = require("spec.support.fake_log")
local fake_process = require("spec.support.fake_process")
local fake_state = require("spec.support.fake_state")
local fake_timer = require("spec.support.fake_timer")

describe("the health of applications", function()
  local keeper, apps, timer, log, requests

  local function new_apps()
    local made
    timer, log, requests = timer or fake_timer.new(), fake_log.new(), {}
    local http = {
      request = function(options, done)
        local request = { options = options, done = done, cancel = function(self) self.is_cancelled = true end }
        requests[#requests + 1] = request
        return request
      end,
    }
    made = Apps.new({
      usage = { changed = function() end },
      turns = Turns.new({ defer = function(fn) fn() end, now_ms = function() return 0 end }),
      health = Health.new({
        timer = timer, random = function() return 0.5 end, log = log, now = function() return 1600000000.5 end,
        probe = Probe.new({ http = http, keeper = function() return made:keeper() end }),
      }),
      history = fake_history.new(),
      schedule = Schedule.new({
        timer = timer, state = fake_state.new(), json = core.json, log = log, zone = Zone.own("UTC0"),
      }),
      json = core.json, codec = core.codec, log = log, problems = Problems.new({ log = log, now = os.time }),
      clock = clock, node = "alpha", inherited = {}, log_dir = "/log", owner = "root", on_change = function() end,
    })
    keeper.on_event = function(event) made:keeper_event(event) end
    made:connect(keeper)
    return made
  end

  --- Runs an application with these fields.
  local function start(document)
    document.name, document.command = "web", "webd"
    apps:set_local({ assert(application.read_local(document)) })
    if not apps:is_known() then apps:keeper_ready(keeper.list()) end
    local id = keeper.id_of("web")
    if keeper.records[id].state == "starting" then keeper.run(id) end
    return id
  end

  local function shown()
    return apps:list()[1]
  end

  --- Lets the next command that is due be run, and ends it.
  local function check(id, ms, how)
    timer.advance(ms)
    local check_id = id .. ".check"
    assert(keeper.records[check_id], "no check was begun")
    keeper.run(check_id)
    how.next = "none"
    keeper.exit(check_id, how)
    keeper.finish(check_id)
    assert.is_nil(keeper.records[check_id])
  end

  before_each(function()
    timer = nil
    keeper = fake_process.new()
    apps = new_apps()
  end)

  it("is not good before the first check says so", function()
    local id = start({ health_check_cmd = "check it" })
    assert.same({ "running", 1 }, { shown().state, shown().health })
    check(id, 2500, { code = 0 })
    assert.equal(0, shown().health)
  end)

  it("is found out by a command of the application's own kind", function()
    local id = start({
      health_check_cmd = "look -e /x", user = "www", working_dir = "/srv", env = { A = "1" }, nice = 3, no_new_privs = true,
      init_command = "prepare", fini_command = "tidy", ready = "fd", limits = { open_files = 99 },
    })
    timer.advance(2500)
    local spawn = keeper.records[id .. ".check"].spec
    assert.same({ "look", "-e", "/x" }, spawn.argv)
    assert.same({ "www", "/srv", 5000 }, { spawn.user, spawn.working_dir, spawn.run_timeout_ms })
    assert.same(keeper.records[id].spec.env, spawn.env)
    assert.same({ 3, 99, true, true, 9 }, {
      spawn.nice, spawn.open_files, spawn.no_new_privs, spawn.is_local, spawn.stop_signal,
    })
    for _, name in ipairs({ "restart", "tag", "output_path", "init_argv", "fini_argv", "ready_fd" }) do
      assert.is_nil(spawn[name], name)
    end
  end)

  it("is bad after so many failures in a row, and good again after so many successes", function()
    local id = start({ health_check = { cmd = "c", unhealthy_threshold = 2, healthy_threshold = 2 } })
    check(id, 2500, { code = 0 })
    check(id, 10000, { code = 0 })
    check(id, 10000, { code = 1 })
    assert.equal(0, shown().health)
    check(id, 10000, { code = 3 })
    assert.same({ 1, "unhealthy: health check exited with 3" }, { shown().health, shown().error })
    assert.equal(1, log.count("web: unhealthy: health check exited with 3"))
    check(id, 10000, { code = 0 })
    assert.equal(1, shown().health)
    check(id, 10000, { code = 0 })
    assert.same({ 0, nil }, { shown().health, shown().error })
    assert.same({}, keeper.ended)
  end)

  it("says of a check that hangs that it was killed at its timeout", function()
    local id = start({ health_check = { cmd = "c", unhealthy_threshold = 1, timeout_seconds = 0.5 } })
    check(id, 2500, { signal = 9, ran_ms = 501 })
    assert.equal("unhealthy: health check did not end within 0.5 s and was killed", shown().error)
  end)

  it("is no verdict on what could not be looked at", function()
    local id = start({ health_check = { cmd = "c", unhealthy_threshold = 1 } })
    timer.advance(2500)
    apps:keeper_event({ type = "error", id = id .. ".check", message = "is being stopped" })
    assert.equal("unknown", apps.by_id[id].health)
    check(id, 10000, { code = 0 })
    assert.equal(0, shown().health)
  end)

  it("is waited for when its command is slow to start", function()
    local id = start({ health_check = { cmd = "c", unhealthy_threshold = 1 } })
    timer.advance(2500)
    apps:keeper_event({ type = "error", id = id .. ".check", step = "start", error = "may hang", message = "may hang" })
    apps:keeper_event({ type = "spawn_failed", id = id .. ".check", step = "start", error = "c had not begun" })
    assert.equal("unhealthy: health check c had not begun", shown().error)
  end)

  it("that is bad ends a run, once, when that is asked for", function()
    local id = start({ health_check = { cmd = "c", unhealthy_threshold = 1, restart = true } })
    check(id, 2500, { code = 1 })
    check(id, 10000, { code = 1 })
    assert.same({ id }, keeper.ended)
    assert.matches("^unhealthy: health check exited with 1; it was ended", shown().error)
    keeper.exit(id, { signal = 15, next = "restart" })
    assert.same({ "backoff", 1 }, { shown().state, shown().health })
    keeper.run(id)
    assert.same({ "running", nil }, { shown().state, shown().error })
    check(id, 2500, { code = 1 })
    assert.equal(2, #keeper.ended)
  end)

  it("is asked over HTTP, where every answer from 200 to 399 is good", function()
    start({ health_check = { http = "http://127.0.0.1:1/health", unhealthy_threshold = 1 } })
    local function answer(response, err)
      timer.advance(10000)
      requests[#requests].done(response, err)
    end
    answer({ status = 302 })
    assert.equal(0, shown().health)
    answer({ status = 503 })
    assert.equal("unhealthy: health check answered with status 503", shown().error)
    answer({ status = 200 })
    assert.equal(0, shown().health)
    answer(nil, { code = "connect", message = "GET http://127.0.0.1:1/health: cannot connect: Connection refused" })
    assert.equal("unhealthy: health check cannot connect: Connection refused", shown().error)
    assert.equal("http://127.0.0.1:1/health", requests[1].options.url)
    assert.is_nil(requests[1].options.connect_only)
  end)

  it("is asked by a connection", function()
    start({ health_check = { tcp = 8080 } })
    timer.advance(2500)
    assert.same({ "http://127.0.0.1:8080", true }, { requests[1].options.url, requests[1].options.connect_only })
    requests[1].done({ status = 0 })
    assert.equal(0, shown().health)
  end)

  it("is asked at the port that a replica was given", function()
    local app = assert(application.read({
      command = "x", health_check = { http = "http://127.0.0.1:${APPMGR_PORT_HTTP}/${APPMGR_PORT_HTTP}", unhealthy_threshold = 1 },
    }))
    local replica = { task = "web", slot = 0, version = "v", application = app, ports = { http = 20001 } }
    apps:set_replicas({ replica }, true)
    apps:keeper_ready({})
    keeper.run(keeper.id_of("web"))
    timer.advance(2500)
    assert.equal("http://127.0.0.1:20001/20001", requests[1].options.url)
  end)

  it("is bad where the document names a port that the application was not given", function()
    start({ health_check = { tcp = "localhost:${APPMGR_PORT_DB}", unhealthy_threshold = 1 } })
    timer.advance(2500)
    assert.equal("unhealthy: health check cannot be made: this application was given no APPMGR_PORT_DB", shown().error)
    assert.equal(0, #requests)
  end)

  it("is not asked of what does not run, and nobody waits for an answer any more", function()
    local id = start({ health_check = { tcp = 8080 } })
    timer.advance(2500)
    keeper.exit(id, { code = 1, next = "restart" })
    assert.is_true(requests[1].is_cancelled)
    timer.advance(60000)
    assert.equal(1, #requests)
  end)

  it("is looked at in another way from the next look on, when the document says so", function()
    local id = start({ health_check = { tcp = 8080 } })
    timer.advance(2500)
    requests[1].done({ status = 0 })
    apps:set_local({ assert(application.read_local({ name = "web", command = "webd", health_check_cmd = "c" })) })
    assert.equal(0, shown().health)
    check(id, 5000, { code = 0 })
    apps:set_local({ assert(application.read_local({ name = "web", command = "webd" })) })
    timer.advance(60000)
    assert.equal(1, #requests)
    assert.is_nil(keeper.records[id .. ".check"])
    assert.equal("running", shown().state)
  end)

  it("of many is looked at one after the other", function()
    local list = {}
    for i = 1, 50 do
      list[i] = assert(application.read_local({ name = "a" .. i, command = "x", health_check = { tcp = i } }))
    end
    apps:keeper_ready({})
    apps:set_local(list)
    for id in pairs(keeper.records) do keeper.run(id) end
    timer.advance(2500)
    assert.equal(1, #requests)
    timer.advance(20)
    assert.is_true(#requests > 5 and #requests < 20)
    timer.advance(100)
    assert.equal(50, #requests)
  end)

  describe("and readiness", function()
    it("comes with the first good check, which is looked for soon, and the keeper keeps it in mind", function()
      local id = start({ health_check_cmd = "c", ready = "health" })
      assert.same({ "starting", 1 }, { shown().state, shown().health })
      check(id, 500, { code = 1 })
      assert.equal("starting", shown().state)
      check(id, 1000, { code = 0 })
      assert.same({ "running", 0 }, { shown().state, shown().health })
      assert.equal(1, keeper.records[id].ready_starts)
      apps = new_apps()
      start({ health_check_cmd = "c", ready = "health" })
      assert.equal("running", shown().state)
    end)

    it("is told by the application through the keeper", function()
      local id = start({ ready = "fd" })
      assert.equal(3, keeper.records[id].spec.ready_fd)
      assert.equal("starting", shown().state)
      apps:keeper_event({ type = "ready", id = id, starts = 1 })
      assert.same({ "running", 0 }, { shown().state, shown().health })
      timer.advance(100000)
      assert.same({}, keeper.ended)
    end)

    it("that does not come in time ends the run", function()
      local id = start({ ready = "fd", ready_timeout = 5 })
      timer.advance(5100)
      assert.same({ id }, keeper.ended)
      assert.matches("^was not ready within 5 s; it was ended", shown().error)
      keeper.exit(id, { signal = 15, next = "restart" })
      keeper.run(id)
      timer.advance(5100)
      assert.same({ id, id }, keeper.ended)
    end)

    it("is what a restart by hand waits for", function()
      local id = start({ ready = "fd" })
      local told
      apps:restart("web", function(row) told = row.state end)
      keeper.exit(id, { signal = 15, next = "stop" })
      keeper.finish(id)
      keeper.run(id)
      assert.is_nil(told)
      apps:keeper_event({ type = "ready", id = id, starts = 1 })
      assert.equal("running", told)
    end)
  end)

  describe("after the agent was away", function()
    it("is taken to be good until a check says otherwise", function()
      local id = start({ health_check_cmd = "c" })
      apps = new_apps()
      start({ health_check_cmd = "c" })
      assert.equal(0, shown().health)
      check(id, 2500, { code = 0 })
      assert.equal(0, shown().health)
    end)

    it("begins with no check of the agent before", function()
      local id = start({ health_check_cmd = "c" })
      timer.advance(2500)
      keeper.run(id .. ".check")
      apps = new_apps()
      start({ health_check_cmd = "c" })
      assert.equal("stopping", keeper.records[id .. ".check"].state)
      timer.advance(3000)
      keeper.finish(id .. ".check")
      assert.is_nil(keeper.records[id .. ".check"])
      check(id, 10000, { code = 0 })
      assert.equal(0, log.count("was not started by an agent"))
    end)

    it("clears away a check that has ended meanwhile", function()
      local id = start({ health_check_cmd = "c" })
      timer.advance(2500)
      keeper.run(id .. ".check")
      keeper.records[id .. ".check"].state = "stopped"
      apps = new_apps()
      start({ health_check_cmd = "c" })
      assert.is_nil(keeper.records[id .. ".check"])
    end)
  end)

  it("shows what runs before and after, and why it failed", function()
    local id = start({ init_command = "prepare", fini_command = "tidy up", fini_timeout = 2 })
    local spec = keeper.records[id].spec
    assert.same({ { "prepare" }, 60000, { "tidy", "up" }, 2000 },
      { spec.init_argv, spec.init_timeout_ms, spec.fini_argv, spec.fini_timeout_ms })
    keeper.exit(id, { code = 0, next = "restart" })
    apps:keeper_event({ type = "phase", id = id, phase = "fini" })
    assert.equal("fini", shown().state)
    apps:keeper_event({ type = "phase", id = id, phase = "fini", error = "fini_command: exited with 4" })
    assert.equal(1, log.count("web: fini_command: exited with 4"))
    apps:keeper_event({ type = "phase", id = id, phase = "init" })
    assert.equal("init", shown().state)
    apps:keeper_event({
      type = "spawn_failed", id = id, step = "init", error = "init_command: exited with 3", next = "restart", delay_ms = 1000,
    })
    assert.same({ "backoff", 'init_command: exited with 3; "appmgr app logs web" shows what it wrote' },
      { shown().state, shown().error })
  end)

  it("is not what a reload is for: that is a signal", function()
    local id = start({ reload_signal = "HUP" })
    assert.is_true(apps:reload("web"))
    assert.same({ { id, 1 } }, keeper.signals)
    keeper.exit(id, { code = 0, next = "restart" })
    assert.same({ nil, "it does not run" }, { apps:reload("web") })
    start({})
    assert.matches('has no "reload_signal"', select(2, apps:reload("web")))
  end)
end)
