local App = require("appmgr.node.app")
local application = require("appmgr.application")
local core = require("spec.support.core")
local launch = require("appmgr.node.launch")
local row = require("appmgr.node.row")

local context = {
  json = core.json, codec = core.codec, node = "alpha", inherited = launch.inherited("PATH=/bin\0KEY=agent"), log_dir = "/log",
}

local function read(document)
  return assert(application.read(document))
end

local REPLICA = { id = "i", kind = "replica", name = "web#2", task = "web", slot = 1, version = "v1" }

describe("what an application inherits", function()
  it("is the agent's environment without what is the agent's alone", function()
    local block = "PATH=/bin\0NOTIFY_SOCKET=/run/n\0CONSUL_HTTP_TOKEN=s3cr3t\0CONSUL_HTTP_ADDR=a:1\0CONSUL_HTTP_AUTH=u:p\0"
      .. "APPMGR_TASK=the agent's own\0EMPTY=\0LONG=a=b\nc\0"
    assert.same({
      { name = "CONSUL_HTTP_ADDR", entry = "CONSUL_HTTP_ADDR=a:1" }, { name = "EMPTY", entry = "EMPTY=" },
      { name = "LONG", entry = "LONG=a=b\nc" }, { name = "PATH", entry = "PATH=/bin" },
    }, launch.inherited(block))
  end)
end)

describe("a definition", function()
  it("holds all that the keeper needs", function()
    local definition = launch.definition(read({
      command = "sleep 5", env = { KEY = "own" }, user = "nobody", stop_signal = "INT", stop_timeout = 2.5,
      restart = { attempts = 3, interval_seconds = 10, delay_seconds = 0.5, max_delay_seconds = 8 },
    }), REPLICA, context)
    local spawn = definition:spawn()
    assert.same({ "sleep", "5" }, spawn.argv)
    assert.same({
      "PATH=/bin", "APPMGR_INSTANCE=web.1", "APPMGR_NODE=alpha", "APPMGR_SLOT=1", "APPMGR_TASK=web", "KEY=own",
    }, spawn.env)
    assert.equal("nobody", spawn.user)
    assert.equal("/", spawn.working_dir)
    assert.equal(2, spawn.stop_signal)
    assert.equal(2500, spawn.stop_timeout_ms)
    assert.same({ enabled = true, attempts = 3, interval_ms = 10000, delay_ms = 500, max_delay_ms = 8000 }, spawn.restart)
    assert.equal("/log/web#2.log", spawn.output_path)
    assert.same({ kind = "replica", name = "web#2", task = "web", slot = 1, version = "v1", hash = definition.hash,
      settings = "2/2500/3/10000/500/8000/10485760/5/drop" }, launch.read_tag(definition.tag, core.json))
    assert.is_nil(spawn.lease_ms)
    assert.is_false(spawn.is_local)
  end)

  it("names the other slots of the task where it is told them, which needs no new process", function()
    local app = read({ command = "sleep 5" })
    local before = launch.definition(app, REPLICA, context)
    local identity = { peers = { ["10"] = "gamma", ["0"] = "beta" } }
    for name, value in pairs(REPLICA) do identity[name] = value end
    local definition = launch.definition(app, identity, context)
    assert.truthy(table.concat(definition:spawn().env, " "):find("APPMGR_PEERS=web.0=beta,web.10=gamma", 1, true))
    assert.same({ before.hash, before.tag }, { definition.hash, definition.tag })
  end)

  it("tells the keeper for how long a replica may run without Consul, and a change of it applies in place", function()
    local app = read({ command = "sleep 5" })
    local before = launch.definition(app, REPLICA, context)
    app.stop_after_seconds = 60
    local definition = launch.definition(app, REPLICA, context)
    assert.equal(60000, definition:spawn().lease_ms)
    assert.equal(before.hash, definition.hash)
    assert.not_equal(before.tag, definition.tag)
  end)

  it("says what the limits for tasks do not concern", function()
    local identity = { id = "i", kind = "local", name = "ping" }
    assert.is_true(launch.definition(read({ command = "sleep 5" }), identity, context):spawn().is_local)
  end)

  it("is made for one run of several, and stays as it was", function()
    local definition = launch.definition(read({ command = "sleep 5", schedule = "@daily" }), REPLICA, context)
    local run = launch.for_run(definition, 7)
    assert.equal(7, run.run)
    assert.equal(7, launch.read_tag(run:spawn().tag, core.json).run)
    assert.equal(run.tag, run:spawn().tag)
    assert.is_nil(launch.read_tag(definition:spawn().tag, core.json).run)
    assert.equal(definition.hash, run.hash)
    assert.is_false(run:spawn().restart.enabled)
    local periodic = read({ command = "sleep 5", schedule = "@daily", keep_running = true })
    assert.is_true(launch.definition(periodic, REPLICA, context):spawn().restart.enabled)
  end)

  it("tells the process its ports, and is another one for other ports", function()
    local function with_ports(ports)
      local identity = { ports = ports }
      for name, value in pairs(REPLICA) do identity[name] = value end
      return launch.definition(read({ command = "sleep 5", env = { APPMGR_PORT_HTTP = "1" } }), identity, context)
    end
    local web = with_ports({ http = 8080, ["admin-ui"] = 20007 })
    local env = table.concat(web:spawn().env, "\n")
    assert.truthy(env:find("APPMGR_PORT_HTTP=8080", 1, true))
    assert.truthy(env:find("APPMGR_PORT_ADMIN_UI=20007", 1, true))
    assert.equal(web.hash, with_ports({ ["admin-ui"] = 20007, http = 8080 }).hash)
    assert.are_not.equal(web.hash, with_ports({ http = 8080, ["admin-ui"] = 20008 }).hash)
    assert.equal(with_ports(nil).hash, with_ports({}).hash)
    assert.are_not.equal(web.hash, with_ports(nil).hash)
    assert.is_true(launch.same_ports(nil, {}))
    assert.is_false(launch.same_ports({ a = 1 }, { a = 1, b = 2 }))
    assert.is_false(launch.same_ports({ a = 1, b = 2 }, { a = 1 }))
  end)

  it("has another hash only when the process must be another", function()
    local base = { command = "sleep 5" }
    local function hash_with(changes)
      local document = { command = "sleep 5" }
      for key, value in pairs(changes) do document[key] = value end
      return launch.definition(read(document), REPLICA, context).hash
    end
    local hash = launch.definition(read(base), REPLICA, context).hash
    for _, changes in ipairs({ { stop_timeout = 3 }, { restart = { attempts = 1 } }, { comments = "x" },
      { cache_lines = 3 } }) do
      assert.equal(hash, hash_with(changes))
    end
    for _, changes in ipairs({ { command = "sleep 6" }, { env = { A = "1" } }, { user = "nobody" },
      { working_dir = "/tmp" } }) do
      assert.not_equal(hash, hash_with(changes))
    end
  end)

  it("never restarts what may be restarted no more than never", function()
    local spawn = launch.definition(read({ command = "x", restart = { attempts = 0 } }), REPLICA, context):spawn()
    assert.is_false(spawn.restart.enabled)
  end)
end)

describe("an id", function()
  it("is the same for the same slot, another for any other, and looks like a UUID", function()
    local id = launch.id(core.codec, "alpha", { kind = "replica", task = "web", slot = 1, version = "v1" })
    assert.matches("^%x+%-%x%x%x%x%-8%x%x%x%-a%x%x%x%-%x+$", id)
    assert.equal(36, #id)
    assert.equal(id, launch.id(core.codec, "alpha", { kind = "replica", task = "web", slot = 1, version = "v2" }))
    for _, other in ipairs({ { kind = "replica", task = "web", slot = 2 }, { kind = "replica", task = "we", slot = 1 },
      { kind = "local", name = "web" } }) do
      assert.not_equal(id, launch.id(core.codec, "alpha", other))
    end
    assert.not_equal(id, launch.id(core.codec, "other", { kind = "replica", task = "web", slot = 1 }))
  end)
end)

--- An application as App makes it, with what a spec says of it.
local function app_with(changes)
  local app = App.new({})
  for name, value in pairs(changes) do app[name] = value end
  return app
end

describe("a tag", function()
  it("of somebody else is none", function()
    for _, text in ipairs({ "", "x", "[]", '{"name":"a"}', '{"kind":"replica","name":"a","hash":"h"}' }) do
      assert.is_nil(launch.read_tag(text, core.json))
    end
    assert.is_nil(launch.read_tag(nil, core.json))
  end)
end)

describe("a definition of a process with settings", function()
  it("has no delay of 0, which the keeper would take for its default", function()
    local app = read({ command = "x", restart = { delay_seconds = 0, max_delay_seconds = 0 } })
    local restart = launch.definition(app, REPLICA, context):spawn().restart
    assert.same({ 1, 1 }, { restart.delay_ms, restart.max_delay_ms })
  end)

  it("hands them to the keeper, and the row shows them as written", function()
    local app = read({ command = "x", nice = 5, umask = "027", limits = { open_files = 64 }, no_new_privs = true })
    local definition = launch.definition(app, REPLICA, context)
    local spawn = definition:spawn()
    assert.same({ 5, 23, 64, true }, { spawn.nice, spawn.umask, spawn.open_files, spawn.no_new_privs })
    local shown = row.of(app_with({ kind = "replica", shown = definition }), { clock = {}, owner = "root" })
    assert.same({ 5, "027", { open_files = 64 }, true }, { shown.nice, shown.umask, shown.limits, shown.no_new_privs })
  end)
end)

describe("a row", function()
  local clock = { text = function(time) return "T" .. time end }

  local function row_of(changes, document)
    local definition = launch.definition(read(document or {
      command = { "sleep", "5" }, env = { KEY = "s3cr3t" }, comments = "c",
    }), REPLICA, context)
    local app = app_with({ id = "i", kind = "replica", name = "web#2", task = "web", slot = 1, mode = "run", state = "running",
      shown = definition, kept = { version = "v1", definition = definition, ready = definition.ready }, pid = 7, starts = 3,
      started_at = 5, memory = 9 })
    for key, value in pairs(changes or {}) do app[key] = value end
    return row.of(app, { clock = clock, owner = "root" })
  end

  it("has the fields of the status key", function()
    local shown = row_of()
    assert.equal("sleep 5", shown.command)
    assert.same({ KEY = "(hidden)" }, shown.env)
    assert.same({ "web#2", "web", 1, "v1", "i", 7, 9, 2, 0, 1, "root", "/", 20, "T5", "running", "c" }, {
      shown.name, shown.task, shown.slot, shown.version, shown.id, shown.pid, shown.memory, shown.restarts, shown.health,
      shown.status, shown.user, shown.working_dir, shown.cache_lines, shown.last_start_time, shown.state, shown.comments,
    })
    assert.is_nil(core.json.encode(shown):find("s3cr3t", 1, true))
  end)

  it("says how the last process ended", function()
    local shown = row_of({ state = "backoff", last_exit = { signal = 9 }, next_start_at = 8 })
    assert.equal(137, shown["return"])
    assert.equal("ended by signal 9", shown.error)
    assert.equal("T8", shown.next_start_time)
    assert.equal(1, shown.health)
    assert.equal(3, row_of({ last_exit = { code = 3 } })["return"])
    local unseen = row_of({ state = "failed", last_exit = { at = 7 } })
    assert.is_nil(unseen["return"])
    assert.matches("exit code unknown", unseen.error)
  end)

  it("says why nothing runs", function()
    assert.equal("disabled", row_of({ state = "idle", mode = "off" }).state)
    local blocked = row_of({ state = "idle", mode = "keep", blocked = "version lacks" })
    assert.equal("blocked", blocked.state)
    assert.equal("version lacks", blocked.error)
    assert.equal("stopping", row_of({ state = "replacing" }).state)
    assert.equal('it ended too often, and is not started again; "appmgr app restart web#2" starts it',
      row_of({ state = "gave_up" }).error)
    assert.matches("the last time with exit code 7, and", row_of({ state = "gave_up", last_exit = { code = 7 } }).error)
    assert.matches("the last time by signal 9, and", row_of({ state = "gave_up", last_exit = { signal = 9 } }).error)
  end)

  it("shows no memory and processor time of what has ended", function()
    local app = { state = "backoff", memory = 9, cpu = 1 }
    assert.same({ 9, 1 }, { row_of(app).memory, row_of(app).cpu })
    app.pid = false
    assert.same({}, { row_of(app).memory or nil, row_of(app).cpu or nil })
  end)

  it("shows what runs before and after, and that it is not ready yet", function()
    assert.equal("init", row_of({ state = "starting", phase = "init" }).state)
    assert.equal("fini", row_of({ state = "stopping", phase = "fini" }).state)
    local shown = row_of({}, { command = "x", ready = "fd" })
    assert.same({ "starting", 1 }, { shown.state, shown.health })
    shown = row_of({ is_ready = true }, { command = "x", ready = "fd" })
    assert.same({ "running", 0 }, { shown.state, shown.health })
  end)

  it("is well when its check says so; before that only as it was found", function()
    local document = { command = "x", health_check_cmd = "true" }
    assert.equal(1, row_of({ health = "unknown" }, document).health)
    assert.equal(0, row_of({ health = "healthy" }, document).health)
    assert.equal(0, row_of({}, document).health)
    local shown = row_of({ health = "unhealthy", health_error = "unhealthy: exited with 1" }, document)
    assert.same({ 1, "unhealthy: exited with 1", "running" }, { shown.health, shown.error, shown.state })
  end)

  it("shows the version that runs while another one is wanted", function()
    assert.equal("v0", row_of({ state = "replacing", kept = { version = "v0" } }).version)
  end)
end)
