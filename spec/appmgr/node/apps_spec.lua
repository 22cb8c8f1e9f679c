local Apps = require("appmgr.node.apps")
local Problems = require("appmgr.problems")
local Schedule = require("appmgr.node.schedule")
local Turns = require("appmgr.turns")
local Zone = require("appmgr.when.zone")
local application = require("appmgr.application")
local clock = require("appmgr.clock")
local core = require("spec.support.core")
local fake_health = require("spec.support.fake_health")
local fake_history = require("spec.support.fake_history")
local fake_log = require("spec.support.fake_log")
local fake_process = require("spec.support.fake_process")
local fake_state = require("spec.support.fake_state")
local fake_timer = require("spec.support.fake_timer")

local function locals(...)
  local list = {}
  for index, document in ipairs({ ... }) do list[index] = assert(application.read_local(document)) end
  return list
end

local contents = {}

local function replica(task, slot, version, command)
  local key = task .. version
  contents[key] = contents[key] or assert(application.read({ command = command or "sleep " .. version }))
  return { task = task, slot = slot, version = version, application = contents[key] }
end

describe("the applications of a node", function()
  local keeper, apps, problems, log, changes, history, failures
  local turns, waiting, now -- work in turns: what waits for the next one, and a clock
  local pace_ms = 0       -- by which it goes on with every look

  local function new_apps()
    log = fake_log.new()
    now, waiting = 0, {}
    turns = Turns.new({
      defer = function(fn) waiting[#waiting + 1] = fn end,
      now_ms = function()
        now = now + pace_ms
        return now
      end,
    })
    problems = Problems.new({ log = log, now = os.time })
    changes, history, failures = 0, fake_history.new(), {}
    local made = Apps.new({
      usage = { changed = function() end },
      health = fake_health.new(),
      history = history,
      schedule = Schedule.new({
        timer = fake_timer.new(), state = fake_state.new(), json = core.json, log = log, zone = Zone.own("UTC0"),
      }),
      turns = turns,
      json = core.json, codec = core.codec, log = log, problems = problems, clock = clock, node = "alpha",
      inherited = { { name = "PATH", entry = "PATH=/bin" } }, log_dir = "/log", owner = "root",
      on_change = function() changes = changes + 1 end,
      on_failure = function(task) failures[#failures + 1] = task end,
    })
    keeper.on_event = function(event) made:keeper_event(event) end
    made:connect(keeper)
    return made
  end

  before_each(function()
    contents = {}
    keeper = fake_process.new()
    apps = new_apps()
  end)

  local function states()
    local by_name = {}
    for _, shown in ipairs(apps:list()) do by_name[shown.name] = shown.state end
    return by_name
  end

  local function run_all()
    for id, record in pairs(keeper.records) do
      if record.state == "starting" then keeper.run(id) end
    end
  end

  it("are named in what the keeper complains of", function()
    apps:keeper_ready({})
    apps:set_local(locals({ name = "ping", command = "ping" }))
    apps:keeper_event({ type = "error", id = keeper.id_of("ping"), message = "output /log/ping.log: disk full" })
    assert.equal(1, log.count("keeper: application ping: output /log/ping.log: disk full"))
  end)

  describe("with limits", function()
    local id

    local LIMITS = "memory_mb cgroup\nswap_mb cgroup\npids not enforced: no pids controller here\n"

    local function started(pid, enforced)
      apps:keeper_event({ type = "started", id = id, pid = pid, starts = 1, cgroup = "/cg/app-x", enforced = enforced })
    end

    before_each(function()
      apps:keeper_ready({})
      apps:set_local(locals({ name = "web", command = "x", resource_limit = { memory_mb = 100, pids = 9 } }))
      id = keeper.id_of("web")
    end)

    it("show how they are kept and what contains them", function()
      assert.same({ memory_bytes = 100 << 20, swap_bytes = 0, pids = 9 }, keeper.records[id].spec.limits)
      assert.is_nil(apps:rows().web.containment)
      started(7, LIMITS)
      local shown = apps:rows().web
      assert.same({ memory_mb = 100, pids = 9 }, shown.resource_limit)
      assert.same({ memory_mb = "cgroup", pids = "not enforced: no pids controller here" }, shown.limits_enforced)
      assert.equal("cgroup", shown.containment)
      assert.equal(1, log.count("web: limits that are not enforced: pids (no pids controller here)"))
    end)

    it("show that only the group is in reach where /proc hides what it runs as", function()
      apps:keeper_event({ type = "started", id = id, pid = 7, starts = 1, group_only = true, enforced = LIMITS })
      assert.equal("group", apps:rows().web.containment)
    end)

    it("say once what is not enforced", function()
      started(7, LIMITS)
      keeper.exit(id, { code = 1, next = "restart" })
      started(8, LIMITS)
      assert.equal(1, log.count("web: limits that are not enforced: pids (no pids controller here)"))
    end)

    it("are changed in place", function()
      started(7, LIMITS)
      local calls = #keeper.calls
      apps:set_local(locals({ name = "web", command = "x", resource_limit = { memory_mb = 200 } }))
      assert.same({ "update web" }, { table.unpack(keeper.calls, calls + 1) })
      assert.same({ memory_bytes = 200 << 20, swap_bytes = 0 }, keeper.records[id].updated.limits)
      apps:keeper_event({ type = "limited", id = id, enforced = "memory_mb cgroup\nswap_mb cgroup\n" })
      assert.same({ memory_mb = "cgroup" }, apps:rows().web.limits_enforced)
      assert.equal("running", apps:rows().web.state)
    end)

    it("say that the kernel killed them for memory", function()
      started(7, LIMITS)
      apps:keeper_event({ type = "exited", id = id, sequence = 1, signal = 9, at = 2000000000.5, next = "restart", delay_ms = 1000,
        out_of_memory = true })
      assert.equal("out of memory: killed by the kernel at its limit of 100 MB", apps:rows().web.error)
      assert.equal(137, apps:rows().web["return"])
      assert.equal(1, log.count("web: killed by the kernel: out of memory, started again in 1 s"))
    end)

    it("are taken over from the keeper's list", function()
      started(7, LIMITS)
      apps = new_apps()
      apps:keeper_ready({ { id = id, tag = keeper.records[id].tag, state = "running", pid = 7, starts = 1, cgroup = "/cg/app-x",
        enforced = LIMITS } }, { error = "no hierarchy" })
      apps:set_local(locals({ name = "web", command = "x", resource_limit = { memory_mb = 100, pids = 9 } }))
      assert.equal("cgroup", apps:rows().web.limits_enforced.memory_mb)
      assert.same({ level = "session", reason = "no hierarchy" }, apps:containment_level())
    end)
  end)

  it("say how they are contained, once the keeper has", function()
    assert.is_nil(apps:containment_level())
    apps:keeper_ready({}, { cgroup = "/cg/appmgr-1" })
    assert.same({ level = "cgroup", directory = "/cg/appmgr-1" }, apps:containment_level())
  end)

  it("of an assignment are held: what runs goes on, nothing is started, replaced or stopped", function()
    apps:keeper_ready({})
    apps:set_local(locals({ name = "ping", command = "ping" }))
    apps:set_replicas({ replica("web", 0, "1"), replica("web", 1, "1") }, true)
    run_all()
    local calls = #keeper.calls
    apps:hold_replicas("the name is another's")
    assert.equal(calls, #keeper.calls)
    assert.equal("running", states().web)
    -- One ends by itself, local ones go on being managed.
    keeper.exit(keeper.id_of("web#2"), { code = 0, next = "none" })
    keeper.finish(keeper.id_of("web#2"))
    apps:set_local({})
    assert.same({ "stop ping" }, { table.unpack(keeper.calls, calls + 1) })
    assert.is_nil(apps:rows().web.error)
    apps:set_replicas({ replica("web", 0, "2") }, true)
    assert.same({ "stop ping", "forget web#2", "stop web" }, { table.unpack(keeper.calls, calls + 1) })
  end)

  it("wait for the keeper's list, and are not shown before it", function()
    apps:set_local(locals({ name = "ping", command = "ping" }))
    assert.same({}, keeper.calls)
    assert.is_nil(apps:rows())
    apps:keeper_ready({})
    assert.same({ "spawn ping" }, keeper.calls)
    assert.equal("starting", apps:rows().ping.state)
  end)

  --- What waits for its turn has it, until nothing does.
  local function take_turns()
    local turned = 0
    while #waiting > 0 do
      turned = turned + 1
      table.remove(waiting, 1)()
    end
    return turned
  end

  local function many(count)
    local documents = {}
    for i = 1, count do documents[i] = { name = ("app%03d"):format(i), command = "sleep " .. i } end
    return locals(table.unpack(documents))
  end

  it("are started in turns of the loop when they are many, and what is not wanted is stopped at once", function()
    pace_ms = 20
    apps:keeper_ready({})
    apps:set_local(many(100))
    assert.equal(8, #keeper.calls)
    assert.is_false(apps:is_known())
    assert.equal(12, take_turns())
    assert.equal(100, #keeper.calls)
    assert.is_true(apps:is_known())
    apps:set_local({})
    assert.equal(200, #keeper.calls)
    pace_ms = 0
  end)

  it("follow the newest list, whatever turn an older one has come to", function()
    pace_ms = 20
    apps:keeper_ready({})
    apps:set_local(many(40))
    apps:set_local({ table.unpack(many(40), 31) })
    take_turns()
    local stopped = 0
    for _, call in ipairs(keeper.calls) do stopped = stopped + (call:find("^stop") and 1 or 0) end
    assert.equal(8, stopped)
    local starting = 0
    for _, state in pairs(states()) do starting = starting + (state == "starting" and 1 or 0) end
    assert.equal(10, starting)
    pace_ms = 0
  end)

  it("are taken over in turns, and hear what the keeper told meanwhile only then", function()
    apps:set_local(many(50))
    apps:keeper_ready({})
    run_all()
    local list = keeper.list()
    apps = new_apps()
    pace_ms = 20
    apps:set_local(many(50))
    local calls = #keeper.calls
    apps:keeper_ready(list)
    assert.is_nil(apps:rows())
    local last = list[#list].id
    keeper.exit(last, { code = 3, next = "restart" })
    assert.same({}, keeper.acknowledged)
    take_turns()
    assert.same({ keeper.sequence }, keeper.acknowledged)
    assert.equal(calls, #keeper.calls)
    local backoff = 0
    for _, state in pairs(states()) do backoff = backoff + (state == "backoff" and 1 or 0) end
    assert.equal(1, backoff)
    pace_ms = 0
  end)

  it("that a keeper lost are started again, also when it is lost itself while they are taken over", function()
    apps:set_local(many(50))
    apps:keeper_ready({})
    run_all()
    local list = keeper.list()
    pace_ms = 20
    apps:keeper_ready(list)
    apps:keeper_lost("it was killed")
    keeper.records = {}
    apps:keeper_ready({})
    take_turns()
    local spawned = 0
    for _, call in ipairs(keeper.calls) do spawned = spawned + (call:find("^spawn") and 1 or 0) end
    assert.equal(100, spawned)
    pace_ms = 0
  end)

  it("whose output cannot be written are a problem until it can, also for the next agent", function()
    apps:keeper_ready({})
    apps:set_local(locals({ name = "web", command = "x" }))
    local id = keeper.id_of("web")
    keeper.run(id)
    local function output(state, dropped)
      apps:keeper_event({ type = "output", id = id, output_state = state, output_error = "No space left on device",
        output_dropped = dropped })
    end
    output("dropping", 3000)
    assert.matches('application "web": its output is dropped: /log/web.log: No space left on device; at least 2 KiB so far',
      problems:list()[1].text)
    assert.matches("its output is dropped", apps:row("web").output_problem)
    output("well", 0)
    assert.equal(0, #problems:list())
    assert.is_nil(apps:row("web").output_problem)
    output("waiting", 0)
    local list = keeper.list()
    list[1].output_state, list[1].output_error = "waiting", "No space left on device"
    apps = new_apps()
    apps:set_local(locals({ name = "web", command = "x" }))
    apps:keeper_ready(list)
    assert.matches("its output waits", problems:list()[1].text)
    apps:set_local({})
    keeper.finish(id)
    assert.equal(0, #problems:list())
  end)

  it("are shown one by one and counted, too", function()
    apps:keeper_ready({})
    apps:set_local(locals({ name = "ping", command = "ping" }, { name = "pong", command = "pong" }))
    assert.equal("ping", apps:row("ping").command)
    assert.is_nil(apps:row("other"))
    assert.equal(2, apps:count())
  end)

  it("are named by their slots, and keep their names", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1"), replica("web", 1, "1"), replica("web", 4, "1") }, true)
    run_all()
    assert.same({ web = "running", ["web#2"] = "running", ["web#3"] = "running" }, states())
    local id = apps:rows()["web#2"].id
    apps:set_replicas({ replica("web", 1, "1"), replica("web", 7, "1") }, true)
    keeper.finish(keeper.id_of("web"))
    keeper.finish(keeper.id_of("web#3"))
    run_all()
    assert.equal(1, apps:rows()["web#2"].slot)
    assert.equal(id, apps:rows()["web#2"].id)
    assert.equal("/log/web#2.log", apps:output_path("web#2"))
  end)

  it("are stopped before others are started", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("a", 0, "1") }, true)
    run_all()
    apps:set_replicas({ replica("b", 0, "1") }, true)
    assert.same({ "spawn a", "stop a", "spawn b" }, keeper.calls)
    keeper.finish(keeper.id_of("a"))
    assert.same({ b = "starting" }, states())
    assert.equal("forget", keeper.calls[4]:match("^%a+"))
  end)

  it("that leave are stopped and shown until they are gone", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1") }, true)
    run_all()
    local leaving = replica("web", 0, "1")
    leaving.leaving = true
    apps:set_replicas({ leaving }, true)
    assert.same({ web = "stopping" }, states())
    keeper.finish(keeper.id_of("web"))
    assert.same({}, states())
  end)

  it("are restarted when their ports change, and for nothing else", function()
    apps:keeper_ready({})
    local function with_ports(ports)
      local made = replica("web", 0, "1")
      made.ports = ports
      return { made }
    end
    apps:set_replicas(with_ports({ http = 8080 }), true)
    run_all()
    apps:set_replicas(with_ports({ http = 8080 }), true)
    assert.same({ "spawn web" }, keeper.calls)
    apps:set_replicas(with_ports({ http = 8081 }), true)
    assert.same({ "spawn web", "stop web" }, keeper.calls)
  end)

  it("are restarted for another version, updated for one whose process is the same", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1", "sleep 1") }, true)
    run_all()
    apps:set_replicas({ replica("web", 0, "2", "sleep 1") }, true)
    assert.same({ "spawn web", "update web" }, keeper.calls)
    assert.equal("2", apps:rows().web.version)
    apps:set_replicas({ replica("web", 0, "3", "sleep 3") }, true)
    assert.equal("2", apps:rows().web.version)
    assert.equal("stopping", apps:rows().web.state)
    keeper.finish(keeper.id_of("web"))
    run_all()
    assert.equal("3", apps:rows().web.version)
    assert.equal("running", apps:rows().web.state)
  end)

  it("whose version cannot be used go on as they are", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1") }, true)
    run_all()
    apps:set_replicas({ { task = "web", slot = 0, version = "2", error = "version/web/2 is not in Consul" },
      { task = "new", slot = 0, version = "1", error = "version/new/1 is not in Consul" } }, true)
    assert.same({ "spawn web" }, keeper.calls)
    assert.same({ web = "running", new = "blocked" }, states())
    assert.equal("1", apps:rows().web.version)
    assert.equal("1", apps:rows().new.version)
    assert.matches("is not in Consul", apps:rows().web.error)
  end)

  it("that run are found again by a new agent, and nothing is started twice", function()
    apps:keeper_ready({})
    apps:set_local(locals({ name = "ping", command = "ping" }))
    apps:set_replicas({ replica("web", 0, "1"), replica("web", 1, "1") }, true)
    run_all()
    local before = apps:rows()
    keeper.calls = {}
    apps = new_apps()
    apps:set_local(locals({ name = "ping", command = "ping" }))
    apps:keeper_ready(keeper.list())
    assert.same({}, keeper.calls)
    assert.equal(before["web#2"].id, apps:rows()["web#2"].id)
    assert.equal(before["web#2"].pid, apps:rows()["web#2"].pid)
    apps:set_replicas({ replica("web", 0, "1"), replica("web", 1, "1") }, true)
    assert.same({}, keeper.calls)
    assert.same({ ping = "running", web = "running", ["web#2"] = "running" }, states())
  end)

  it("are stopped by what Consul says, never by what is remembered or not known", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1"), replica("db", 0, "1") }, true)
    run_all()
    keeper.calls = {}
    apps = new_apps()
    apps:keeper_ready(keeper.list())
    apps:set_replicas({ replica("db", 0, "1") }, false)
    assert.same({}, keeper.calls)
    apps:set_replicas({ replica("db", 0, "1") }, true)
    assert.same({ "stop web" }, keeper.calls)
  end)

  it("of a configuration that no longer names them are stopped at once", function()
    apps:set_local(locals({ name = "a", command = "x" }, { name = "b", command = "x" }))
    apps:keeper_ready({})
    run_all()
    keeper.calls = {}
    apps:set_local(locals({ name = "b", command = "x" }, { name = "c", command = "x" }))
    assert.same({ "stop a", "spawn c" }, keeper.calls)
  end)

  it("that are disabled are shown and do not run", function()
    apps:set_local(locals({ name = "a", command = "x", status = 0 }))
    apps:keeper_ready({})
    assert.same({}, keeper.calls)
    assert.same({ a = "disabled" }, states())
    assert.equal(0, apps:rows().a.status)
    apps:set_local(locals({ name = "a", command = "x" }))
    assert.same({ "spawn a" }, keeper.calls)
    run_all()
    apps:set_local(locals({ name = "a", command = "x", status = 0 }))
    keeper.finish(keeper.id_of("a"))
    assert.same({ a = "disabled" }, states())
  end)

  it("with the name of a local one are not run, which is told once", function()
    apps:set_local(locals({ name = "web", command = "x" }))
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1") }, true)
    apps:set_replicas({ replica("web", 0, "1"), replica("web", 1, "1") }, true)
    assert.same({ "spawn web" }, keeper.calls)
    assert.equal(1, log.count("a local application has the same name"))
    apps:set_local({})
    assert.equal(0, #problems:list())
  end)

  it("make room for a local one of their name", function()
    apps:keeper_ready({})
    apps:set_replicas({ replica("web", 0, "1") }, true)
    run_all()
    apps:set_local(locals({ name = "web", command = "x" }))
    assert.same({ web = "starting", ["web#2"] = "stopping" }, states())
    assert.is_nil(apps:rows().web.task)
  end)

  it("that ended while no keeper was there have an unknown exit", function()
    apps:set_local(locals({ name = "a", command = "x", restart = { attempts = 0 } }))
    apps:keeper_ready({})
    run_all()
    keeper.exit(keeper.id_of("a"), { next = "restart", delay_ms = 2000 })
    assert.equal(1, log.count("a: ended, exit code unknown"))
    assert.is_nil(apps:rows().a["return"])
    assert.matches("exit code unknown", apps:rows().a.error)
  end)

  it("stay while their keeper becomes its new program", function()
    local outcomes = {}
    local function note(done, err) outcomes[#outcomes + 1] = done and "done" or err end
    apps:upgrade_keeper(note)
    apps:keeper_ready({})
    apps:upgrade_keeper(note)
    keeper.upgrade_callback(nil, "too old")
    apps:upgrade_keeper(note)
    keeper.upgrade_callback(true)
    assert.same({ "the keeper is not connected; try again", "too old", "done" }, outcomes)
    assert.equal(1, log.count("the keeper runs its new program"))
  end)

  it("go on without an alarm while their keeper is upgraded, and with one when it does not come back", function()
    apps:keeper_ready({})
    apps:upgrade_keeper(function() end)
    apps:keeper_lost("connection closed")
    assert.equal(0, #problems:list())
    apps:keeper_ready({})
    keeper.upgrade_callback(true)
    assert.equal(0, #problems:list())
    apps:upgrade_keeper(function() end)
    apps:keeper_lost("connection closed")
    keeper.upgrade_callback(nil, "no answer")
    assert.matches("cannot be reached: connection closed", problems:list()[1].text)
    apps:keeper_ready({})
    apps:keeper_lost("connection closed")
    assert.equal(1, #problems:list())
  end)

  it("are not asked of a keeper that does not answer, and that is said until it does", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:keeper_ready({})
    run_all()
    apps:keeper_silent(77)
    assert.equal(1, #problems:list())
    assert.matches('the keeper %(process 77%) does not answer.*"kill %-CONT 77"', problems:list()[1].text)
    local begun, err = apps:restart("a", function() end)
    assert.is_nil(begun)
    assert.matches("the keeper %(process 77%) does not answer", err)
    apps:upgrade_keeper(function(_, reason) err = reason end)
    assert.matches('after "kill %-9 77" another one', err)
    apps:keeper_silent(nil)
    assert.same({}, problems:list())
    assert.is_true(apps:restart("a", function() end))
  end)

  it("are started once by a keeper that lost its records", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:keeper_ready({})
    run_all()
    apps:keeper_lost("connection closed")
    assert.equal(1, #problems:list())
    apps:set_replicas({ replica("web", 0, "1") }, true)
    keeper.records, keeper.calls = {}, {}
    apps:keeper_ready({})
    table.sort(keeper.calls)
    assert.same({ "spawn a", "spawn web" }, keeper.calls)
    assert.equal(0, #problems:list())
  end)

  it("tell of each failure of a replica, and of no other end", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:set_replicas({ replica("web", 0, "v1") }, true)
    apps:keeper_ready({})
    run_all()
    keeper.exit(keeper.id_of("a"), { code = 3, next = "restart" })
    keeper.exit(keeper.id_of("web"), { code = 0, next = "restart" })
    assert.same({}, failures)
    local id = keeper.id_of("web")
    keeper.exit(id, { code = 1, next = "restart" })
    keeper.exit(id, { signal = 11, next = "none" })
    apps:keeper_event({ type = "spawn_failed", id = id, step = "exec", error = "ENOENT: x", next = "restart", delay_ms = 1 })
    keeper.exit(id, { signal = 15, next = "stop" })
    assert.same({ "web", "web", "web" }, failures)
  end)

  it("acknowledge exits, and log what happens", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:keeper_ready({})
    run_all()
    keeper.exit(keeper.id_of("a"), { code = 3, next = "restart", delay_ms = 2000 })
    assert.same({ 1 }, keeper.acknowledged)
    assert.equal(1, log.count("a: exited with 3, started again in 2 s"))
    assert.equal(3, apps:rows().a["return"])
    assert.equal("backoff", apps:rows().a.state)
  end)

  it("have a history, kept before the keeper hears that an exit is known", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    assert.is_false(apps:is_known())
    apps:keeper_ready({})
    assert.is_true(apps:is_known())
    local id = keeper.id_of("a")
    history.note = function(_, noted, event)
      assert.same({ id, "exited", 0 }, { noted, event.type, #keeper.acknowledged })
      history.noted = true
    end
    run_all()
    keeper.exit(id, { code = 3, next = "restart" })
    assert.is_true(history.noted)
    history.runs[id] = { { pid = 1, ended = 2 }, { pid = 3, ended = 4 } }
    keeper.run(id)
    assert.same({ { pid = 3, ended = 4 }, { pid = 102, started = 1600000000.5 } }, apps:runs("a", 2))
    assert.equal(3, #apps:runs("a", 9))
    assert.same({}, apps:runs("none", 9))
  end)

  it("lose their history when they leave the node, or left it while no agent ran", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:keeper_ready({})
    run_all()
    local id = keeper.id_of("a")
    assert.is_nil(history.kept_only)
    apps:set_replicas({}, true)
    assert.is_truthy(history.kept_only[id])
    history.kept_only = nil
    apps:set_replicas({}, true)
    assert.is_nil(history.kept_only)
    apps:set_local({})
    keeper.exit(id, { code = 0, next = "stop" })
    keeper.finish(id)
    assert.same({ id }, history.forgotten)
  end)

  it("are restarted once by hand", function()
    apps:set_local(locals({ name = "a", command = "x" }, { name = "off", command = "x", status = 0 }))
    assert.is_nil(apps:restart("a", error))
    apps:keeper_ready({})
    run_all()
    local id, rows = keeper.id_of("a"), {}
    assert.is_true(apps:restart("a", function(row) rows[#rows + 1] = row end))
    assert.is_true(apps:restart("a", function(row) rows[#rows + 1] = row end))
    keeper.exit(id, { signal = 15, next = "stop" })
    keeper.finish(id)
    assert.same({ "spawn a", "stop a", "forget a", "spawn a" }, keeper.calls)
    assert.equal(0, #rows)
    keeper.run(id)
    assert.same({ 2, "running", "running" }, { #rows, rows[1].state, rows[2].state })
    local _, reason = apps:restart("off", error)
    assert.equal("it is disabled", reason)
    _, reason = apps:restart("none", error)
    assert.matches("no such", reason)
    apps:keeper_lost("gone")
    _, reason = apps:restart("a", error)
    assert.matches("cannot be reached", reason)
  end)

  it("that are not known to be unwanted go on", function()
    apps:set_local(locals({ name = "a", command = "x" }, { name = "b", command = "x" }))
    apps:keeper_ready({})
    run_all()
    apps:set_local({}, { all = true, names = {} })
    assert.same({ a = "running", b = "running" }, states())
    apps:set_local({}, { all = false, names = { b = true } })
    assert.same({ a = "stopping", b = "running" }, states())
    apps:set_local({})
    assert.same({ a = "stopping", b = "stopping" }, states())
  end)

  it("started by nobody known are left alone", function()
    keeper.records.x = { id = "x", tag = "?", state = "running", pid = 5, starts = 1 }
    apps:keeper_ready({ { id = "x", tag = "?", state = "running", pid = 5, starts = 1 } })
    apps:set_replicas({}, true)
    assert.same({}, keeper.calls)
    assert.equal(1, log.count("was not started by an agent"))
  end)

  describe("with a lease", function()
    local ruling, calls

    before_each(function()
      ruling, calls = {}, {}
      apps.lease = {
        ruling = function(_, seconds, is_up)
          calls[#calls + 1] = ("%d %s"):format(seconds, is_up and "up" or "down")
          return ruling.mode, ruling.reason
        end,
        set_terms = function(_, terms)
          apps.lease.terms = terms
        end,
        keeper_ready = function() calls[#calls + 1] = "keeper" end,
        ended = function()
          ruling.mode = "keep"
          apps:lease_changed()
        end,
      }
    end)

    local function guarded(slot)
      local made = replica("web", slot, "1")
      made.application.stop_after_seconds = 60
      return made
    end

    local function give(...) apps:set_replicas({ ... }, true) end

    it("run while it allows it, told to the keeper", function()
      apps:keeper_ready({})
      give(guarded(0), replica("free", 0, "1"))
      assert.same({ [60] = true }, apps.lease.terms)
      assert.same({ "keeper", "60 down" }, calls)
      assert.equal(60000, keeper.records[keeper.id_of("web")].spec.lease_ms)
      assert.is_nil(keeper.records[keeper.id_of("free")].spec.lease_ms)
      run_all()
      apps:lease_changed()
      assert.equal("60 up", calls[#calls])
    end)

    it("are stopped when it ends, with the reason shown, and started when it allows it again", function()
      apps:keeper_ready({})
      give(guarded(0))
      run_all()
      ruling.mode, ruling.reason = "off", "no word from Consul"
      apps:lease_changed()
      assert.same({ "spawn web", "stop web" }, keeper.calls)
      keeper.finish(keeper.id_of("web"))
      assert.equal("blocked", states().web)
      assert.equal("no word from Consul", apps:rows().web.error)
      ruling.mode, ruling.reason = "keep", "not confirmed"
      apps:lease_changed()
      assert.equal(3, #keeper.calls)
      assert.equal("not confirmed", apps:rows().web.error)
      ruling.mode, ruling.reason = nil, nil
      apps:lease_changed()
      assert.equal("spawn web", keeper.calls[4])
      assert.is_nil(apps:rows().web.error)
    end)

    it("that run are left to the keeper where nothing is known, without a word", function()
      apps:keeper_ready({})
      give(guarded(0))
      run_all()
      ruling.mode, ruling.reason = "keep", "waits"
      apps:lease_changed()
      assert.same({ "spawn web" }, keeper.calls)
      assert.equal("running", states().web)
      assert.is_nil(apps:rows().web.error)
    end)

    it("that the keeper stops by itself are not started at once", function()
      apps:keeper_ready({})
      give(guarded(0), replica("free", 0, "1"))
      run_all()
      for _, name in ipairs({ "web", "free" }) do apps:keeper_event({ type = "stopping", id = keeper.id_of(name) }) end
      keeper.finish(keeper.id_of("web"))
      keeper.finish(keeper.id_of("free"))
      assert.same({ "spawn web", "spawn free", "forget web", "forget free", "spawn free" },
        keeper.calls[1] == "spawn web" and keeper.calls or { keeper.calls[2], keeper.calls[1], table.unpack(keeper.calls, 3) })
    end)

    it("have the fence of their assignment, and another one needs no new process", function()
      apps:keeper_ready({})
      local first = guarded(0)
      first.fence = 7
      give(first)
      local env = table.concat(keeper.records[keeper.id_of("web")].spec.env, " ")
      assert.truthy(env:find("APPMGR_FENCE=7", 1, true))
      run_all()
      local later = guarded(0)
      later.fence = 9
      give(later)
      assert.same({ "spawn web" }, keeper.calls)
      assert.equal(9, apps.by_name.web.shown.fence)
    end)
  end)

  it("are all stopped by the keeper when the node leaves, and none comes back", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:keeper_ready({})
    run_all()
    local done = false
    apps:stop_all(function() done = true end)
    apps:keeper_lost("no keeper can be started")
    assert.equal(1, log.count("WARN what runs is not ended yet: no keeper can be started; it is tried again"))
    keeper.finish(keeper.id_of("a"))
    apps:set_local(locals({ name = "b", command = "x" }))
    keeper.shutdown_callback(true)
    assert.is_true(done)
    assert.same({ "spawn a" }, keeper.calls)
  end)

  it("are measured, and their rows say so", function()
    apps:set_local(locals({ name = "a", command = "x" }))
    apps:keeper_ready({})
    run_all()
    local told
    apps.usage = { measure = function(_, by_id, callback)
      for _, app in pairs(by_id) do app.memory, app.cpu = 4096, 12.5 end
      callback()
    end }
    apps:sample(function() told = true end)
    assert.is_true(told)
    assert.equal(4096, apps:rows().a.memory)
    assert.equal(12.5, apps:rows().a.cpu)
  end)
end)
