local core = require("spec.support.core")
local Agent = require("appmgr.node.agent")
local application = require("appmgr.application")
local clock = require("appmgr.clock")
local configuration = require("appmgr.config")
local fake_consul = require("spec.support.fake_consul")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")
local fake_planner = require("spec.support.fake_planner")
local fake_process = require("spec.support.fake_process")
local fake_timer = require("spec.support.fake_timer")

local CONFIG = "/etc/appmgr.json"

--- All of the core that an agent without Consul needs.
local function fake_core()
  local log, keeper = fake_log.new(), fake_process.new()
  function log.set_level(level) log.level = level end
  function log.set_name(name) log.name = name end
  local fake = {
    log = log, timer = fake_timer.new(), keeper = keeper, told = {}, signals = {}, watched = {}, codec = setmetatable({
      uuid = function() return "uid" end,
    }, { __index = core.codec }),
    file = fake_file.new({ ["/share/policies/spread.lua"] = "return {}", ["/proc/self/environ"] = "PATH=/bin\0" }),
    runtime = { version = "0.1.0", pid = 7, share_dir = "/share", keeper_path = "/bin/keeper" },
    host = {
      machine_id = function() return "m" end, boot_id = function() return "b" end, hostname = function() return "h" end,
      resource = function() return { cpu_processors = 2, mem_total_bytes = 1 << 30 } end,
    },
  }
  fake.survey = { begin = function() return { step = function() return {} end } end }
  fake.file_watch = { start = function(path, fn)
    fake.watched[path] = fn
    return { close = function() fake.watched[path] = nil end }
  end }
  fake.notify = { send = function(state) fake.told[#fake.told + 1] = state; return true end }
  fake.loop = {
    on_signal = function(name, fn) fake.signals[name] = fn end,
    stop = function() fake.is_stopped = true end,
  }
  fake.control = { listen = function(options)
    if fake.refuse_socket then return nil, fake.refuse_socket end
    fake.socket = options.path
    return { close = function() fake.socket = nil end }
  end }
  fake.process = { open = function(options)
    keeper.options, keeper.on_event = options, options.on_event
    return keeper
  end }
  return fake
end

describe("an agent without Consul", function()
  local fake, agent

  local function configure(text)
    fake.file.texts[CONFIG] = text
  end

  local function start()
    return Agent.start({
      config = assert(configuration.read(fake.file, CONFIG)), node = "alpha", state_dir = "/state",
      socket = "/run/s", core = fake,
    })
  end

  before_each(function()
    fake = fake_core()
    configure('{ "Applications": [ { "name": "a", "command": "sleep 1" } ] }')
  end)

  local function started()
    agent = assert(start())
    fake.keeper.options.on_ready({})
    return agent
  end

  it("listens, runs its applications, and says that it is ready", function()
    agent = assert(start())
    assert.equal("/run/s", fake.socket)
    assert.same({}, fake.told)
    fake.keeper.options.on_ready({})
    assert.same({ "spawn a" }, fake.keeper.calls)
    assert.same({ "READY=1" }, fake.told)
    assert.equal("alpha", fake.log.name)
    assert.is_nil(agent.client)
    assert.equal(448, fake.file.directories["/state/log"])
  end)

  it("is not started twice on one state directory, and takes nothing down when it is refused", function()
    fake.file.locks["/state/lock"] = 4711
    local refused, err = start()
    assert.is_nil(refused)
    assert.matches("4711", err)
    assert.is_nil(fake.socket)
    fake.file.locks = {}
    fake.refuse_socket = "/run/s: in use by pid 5"
    refused, err = start()
    assert.is_nil(refused)
    assert.matches("in use by pid 5; choose another with %-%-socket", err)
    assert.is_nil(fake.keeper.options)
  end)

  it("refuses a policy that is not there", function()
    configure('{ "Policy": { "name": "spraed" } }')
    local refused, err = start()
    assert.is_nil(refused)
    assert.matches('/etc/appmgr.json: Policy: there is no policy "spraed"', err)
  end)

  it("reads applications, labels, policy and log level again", function()
    started()
    configure([[{ "LogLevel": "DEBUG", "Labels": { "zone": "b" },
      "Applications": [ { "name": "b", "command": "sleep 2" } ] }]])
    fake.signals.HUP()
    assert.same({ "spawn a", "stop a", "spawn b" }, fake.keeper.calls)
    assert.equal("DEBUG", fake.log.level)
    assert.same({ zone = "b" }, agent.config.Labels)
    assert.equal(0, #agent.problems:list())
  end)

  it("keeps what it has when the file is broken, and says so until it is repaired", function()
    started()
    configure('{ "Applications": [ { "name": "b" } ] }')
    fake.signals.HUP()
    assert.same({ "spawn a" }, fake.keeper.calls)
    assert.matches("command: is missing", agent.problems:list()[1].text)
    configure('{ "Policy": { "name": "none" } }')
    fake.signals.HUP()
    assert.same({ "spawn a" }, fake.keeper.calls)
    configure('{ "Applications": [ { "name": "a", "command": "sleep 1" } ] }')
    fake.signals.HUP()
    assert.equal(0, #agent.problems:list())
    assert.same({ "spawn a" }, fake.keeper.calls)
  end)

  --- Adds applications by hand, all in one change.
  local function add_local(...)
    local list = {}
    for index, name in ipairs({ ... }) do
      local document = { name = name, command = "sleep 9" }
      list[index] = { document = document, app = assert(application.read_local(document)) }
    end
    return agent.locals:add(list)
  end

  it("tells the keeper of what was changed by hand and of nothing else", function()
    started()
    add_local("h", "i")
    add_local("j", "h")
    agent.locals:set_status({ "i", "h" }, 0)
    agent.locals:remove({ "j", "i" })
    assert.same({ "spawn a", "spawn h", "spawn i", "spawn j", "stop h", "stop i", "stop j" }, fake.keeper.calls)
  end)

  it("runs what was added by hand beside its configuration, across reloads and starts", function()
    started()
    assert.equal("created", add_local("h")[1].outcome)
    assert.same({ "spawn a", "spawn h" }, fake.keeper.calls)
    agent.locals:set_status({ "a" }, 0)
    assert.same({ "spawn a", "spawn h", "stop a" }, fake.keeper.calls)
    fake.signals.HUP()
    assert.same({ "spawn a", "spawn h", "stop a" }, fake.keeper.calls)
    local file = fake.file
    fake = fake_core()
    fake.file = file
    started()
    assert.same({ "spawn h" }, fake.keeper.calls)
    agent.locals:remove({ "h" })
    assert.same({ "spawn h", "stop h" }, fake.keeper.calls)
    assert.equal(448, fake.file.directories["/state/history"])
  end)

  it("stops nothing that may have been added when the state file is broken", function()
    started()
    add_local("h")
    fake.file.texts["/state/applications.json"] = "{"
    local list = fake.keeper.list()
    fake.keeper.calls = {}
    agent = assert(start())
    fake.keeper.options.on_ready(list)
    assert.same({}, fake.keeper.calls)
    assert.matches("applications.json cannot be used", agent.problems:list()[1].text)
  end)

  it("says what needs a restart", function()
    started()
    configure('{ "Consul": {}, "Description": "x" }')
    fake.signals.HUP()
    assert.matches("Consul changed; restart the agent", agent.problems:list()[1].text)
    assert.equal("x", agent.config.Description)
    assert.is_nil(agent.config.Consul)
  end)

  it("on SIGTERM goes and leaves its applications to the keeper", function()
    started()
    fake.signals.TERM()
    assert.same({ "READY=1", "STOPPING=1" }, fake.told)
    assert.same({ "spawn a" }, fake.keeper.calls)
    assert.is_true(fake.keeper.is_closed)
    assert.is_true(fake.is_stopped)
    assert.is_nil(fake.socket)
  end)

  it("on SIGINT stops its applications first; a second one does not wait, and says what it leaves", function()
    started()
    fake.signals.INT()
    assert.is_nil(fake.is_stopped)
    fake.signals.INT()
    assert.is_true(fake.is_stopped)
    assert.equal(1, fake.log.count("the keeper goes on stopping the applications"))
    -- What the first one still brings comes too late.
    fake.keeper.shutdown_callback(true)
    fake.signals.TERM()
    fake.timer.advance(100)
    assert.equal(1, fake.log.count("agent of node \"alpha\" ends"))
  end)

  it("leaves when asked, answers, forgets its assignment, and ends", function()
    started()
    fake.file.texts["/state/assignment.json"] = "{}"
    local answer, refusal
    agent:leave(function(result) answer = result end)
    agent:leave(function(_, err) refusal = err end)
    assert.matches("already ending", refusal)
    assert.is_nil(answer)
    fake.keeper.shutdown_callback(true)
    assert.same({ node = "alpha", stopped = 1 }, answer)
    assert.is_nil(fake.file.texts["/state/assignment.json"])
    fake.timer.advance(100)
    assert.is_true(fake.is_stopped)
  end)

  it("counts what status shows from its own clocks", function()
    started()
    assert.equal(fake.timer.now_ms(), agent.started_ms)
    assert.equal(7, agent.pid)
    assert.truthy(clock.now() > 0)
  end)
end)

describe("an agent with Consul", function()
  local fake, consul, agent, version, content
  local json = core.json

  local function start(consul_block)
    consul_block = consul_block or '{ "candidate": false }'
    fake.file.texts[CONFIG] = ([[{ "Labels": { "zone": "a" }, "Consul": %s,
      "Applications": [ { "name": "own", "command": "sleep 1" } ] }]]):format(consul_block)
    agent = assert(Agent.start({
      config = assert(configuration.read(fake.file, CONFIG)), node = "alpha", state_dir = "/state", socket = "/run/s",
      core = fake,
    }))
    fake.keeper.options.on_ready(fake.keeper.list())
  end

  before_each(function()
    fake = fake_core()
    consul = fake_consul.new(fake.timer)
    fake.http = consul.http
    content = json.encode({ command = "sleep 2" })
    version = application.version({ command = "sleep 2" }, json, core.codec)
    consul.put("appmgr/meta", '{"schema":1,"cluster":"c1"}')
  end)

  local function assign(...)
    consul.put("appmgr/version/web/" .. version, content)
    consul.put("appmgr/assignment/alpha", json.encode({ replicas = json.array({ ... }) }))
  end

  local function web() return { task = "web", slot = 0, version = version, since = 1 } end

  local function document(key)
    local value = consul.value("appmgr/" .. key)
    return value and json.decode(value)
  end

  it("joins, reports, and runs what it is given", function()
    start()
    fake.timer.advance(50)
    local live = document("live/alpha")
    assert.same({ "alpha", "c1", 1, "a", 2000, 1024, "own" }, {
      live.node, live.cluster, live.incarnation, live.labels.zone, live.capacity.cpu, live.capacity.memory_mb,
      live.local_applications[1],
    })
    assign(web())
    fake.timer.advance(1500)
    assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
    fake.keeper.run(fake.keeper.id_of("web"))
    fake.timer.advance(200)
    assert.equal("running", document("status/alpha/applications").web.state)
    assert.equal(7, document("status/alpha/resource").pid)
    assert.equal(agent.session:id(), consul.holder("appmgr/status/alpha/applications"))
  end)

  it("says labels that were read again under live/<host>", function()
    start()
    fake.timer.advance(50)
    fake.file.texts[CONFIG] = '{ "Labels": { "zone": "b" }, "Consul": { "candidate": false } }'
    fake.signals.HUP()
    fake.timer.advance(50)
    assert.equal("b", document("live/alpha").labels.zone)
    assert.same({}, document("live/alpha").local_applications)
  end)

  it("says what it has, keeps and uses, also after the configuration or an application changed", function()
    start()
    fake.timer.advance(50)
    local live = document("live/alpha")
    assert.same({ {}, { first = 20000, last = 29999 } }, { live.local_used, live.ports })
    fake.file.texts[CONFIG] = [[{ "Resources": { "gpu": 2 }, "Reserve": { "cpu": 100, "ports": [22] },
      "Overcommit": { "cpu": 2 }, "Consul": { "candidate": false },
      "Applications": [ { "name": "own", "command": "sleep 1", "resources": { "memory_mb": 64 } } ] }]]
    fake.signals.HUP()
    fake.timer.advance(50)
    live = document("live/alpha")
    assert.same({ { gpu = 2 }, { cpu = 100 }, { 22 }, { cpu = 2 }, { memory_mb = 64 } },
      { live.resources, live.reserved, live.reserved_ports, live.overcommit, live.local_used })
    agent.locals:set_status({ "own" }, 0)
    fake.timer.advance(50)
    assert.same({}, document("live/alpha").local_used)
  end)

  it("takes up its session and its processes after a restart", function()
    start()
    assign(web())
    fake.timer.advance(2000)
    fake.keeper.run(fake.keeper.id_of("web"))
    local session, calls = agent.session:id(), #fake.keeper.calls
    fake.signals.TERM()
    fake.timer.advance(10)
    assert.is_true(fake.is_stopped)
    assert.equal(session, consul.holder("appmgr/live/alpha"))
    start()
    fake.timer.advance(2000)
    assert.equal(session, agent.session:id())
    assert.equal(calls, #fake.keeper.calls)
    assert.equal(2, document("live/alpha").incarnation)
  end)

  it("runs what it remembers at once when Consul is away, and follows Consul again later", function()
    start()
    assign(web())
    fake.timer.advance(2000)
    fake.signals.TERM()
    fake.timer.advance(10)
    fake.keeper.records, fake.keeper.calls = {}, {}
    consul.down = true
    start()
    fake.timer.advance(10)
    table.sort(fake.keeper.calls)
    assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
    consul.down = false
    assign()
    fake.timer.advance(20000)
    assert.equal("stop web", fake.keeper.calls[3])
  end)

  it("does not run what it remembers when Consul says that others have it", function()
    start()
    assign(web())
    fake.timer.advance(2000)
    fake.signals.TERM()
    fake.timer.advance(10)
    fake.keeper.records, fake.keeper.calls = {}, {}
    assign()
    start()
    fake.timer.advance(20000)
    assert.same({ "spawn own" }, fake.keeper.calls)
  end)

  it("does not run what it remembers when its assignment was removed, as that of a node that was gone", function()
    consul.put("appmgr/meta", '{"schema":1,"cluster":"c1"}')
    start()
    assign(web())
    fake.timer.advance(2000)
    fake.signals.TERM()
    fake.timer.advance(10)
    fake.keeper.records, fake.keeper.calls = {}, {}
    consul.delete("appmgr/assignment/alpha")
    start()
    fake.timer.advance(20000)
    assert.same({ "spawn own" }, fake.keeper.calls)
    -- It has become another's for good, whatever happens to Consul now.
    consul.down = true
    fake.timer.advance(20000)
    assert.same({ "spawn own" }, fake.keeper.calls)
    consul.down = false
    assign(web())
    fake.timer.advance(20000)
    assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
  end)

  for what, fail in pairs({
    ["cannot be read at once"] = function(request) request.fail("connect", "reset") end,
    ["takes its time"] = function() end,
    ["cannot be read as it is answered"] = function(request) request.reply(200, "[{}]") end,
  }) do
    it("does not run what it remembers when its session had ended, and its assignment " .. what, function()
      start()
      assign(web())
      fake.timer.advance(2000)
      fake.signals.TERM()
      fake.timer.advance(10)
      fake.keeper.records, fake.keeper.calls = {}, {}
      local session, respond, failed = consul.holder("appmgr/live/alpha"), consul.http.respond, nil
      consul.http.respond = function(request)
        -- Its session ends after it was seen among the live.
        if request.url:find("session/renew", 1, true) then fake.timer.after(1, function() consul.expire(session) end) end
        if failed or not request.url:find("assignment/alpha", 1, true) then return respond(request) end
        failed = request
        fake.timer.after(1, function() fail(request) end)
      end
      assign()
      start()
      fake.timer.advance(20000)
      assert.truthy(failed)
      assert.same({ "spawn own" }, fake.keeper.calls)
    end)
  end

  it("whose name is held by another runs only its own applications, until the name is free", function()
    assign(web())
    local held = false
    consul.http.request({ method = "PUT", url = "http://c/v1/session/create", body = "{}" }, function(response)
      local id = json.decode(response.body).ID
      consul.http.request({ method = "PUT", url = "http://c/v1/kv/appmgr/live/alpha?acquire=" .. id, body = "{}" },
        function() held = id end)
    end)
    fake.timer.advance(10)
    start()
    fake.timer.advance(3000)
    assert.same({ "spawn own" }, fake.keeper.calls)
    assert.matches('the node name "alpha" is held by', agent.problems:list()[1].text)
    assert.is_nil(document("status/alpha/applications"))
    consul.expire(held)
    fake.timer.advance(5000)
    assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
    assert.equal(0, #agent.problems:list())
  end)

  it("that had joined and loses its name starts nothing more, leads no more, and takes all up when it is free", function()
    fake.planner = fake_planner.new()
    start("{}")
    assign(web())
    fake.timer.advance(2000)
    local id = fake.keeper.id_of("web")
    fake.keeper.run(id)
    fake.timer.advance(2000)
    assert.equal('"alpha"', consul.value("appmgr/leader"))
    local calls = #fake.keeper.calls
    consul.store.sessions.twin = {}
    consul.expire(agent.session:id())
    consul.store:write("appmgr/live/alpha", '{"hostname":"elsewhere","incarnation":9,"version":"0.1.0"}', "twin")
    fake.timer.advance(20000)
    assert.matches('the node name "alpha" is held by an agent on elsewhere', agent.problems:list()[1].text)
    assert.is_nil(consul.value("appmgr/leader"))
    assert.is_false(agent.election:is_leading())
    -- What is given to that name is the other one's.
    local writes = consul.requests("status/alpha")
    assign(web(), { task = "web", slot = 1, version = version, since = 2 })
    fake.timer.advance(20000)
    assert.equal(calls, #fake.keeper.calls)
    assert.is_nil(document("status/alpha/applications"))
    assert.equal(writes, consul.requests("status/alpha"))
    -- A keeper that lost everything is given the local applications, and no replica.
    fake.keeper.options.on_lost("killed")
    fake.keeper.records = {}
    fake.keeper.options.on_ready({})
    assert.same({ "spawn own" }, { table.unpack(fake.keeper.calls, calls + 1) })
    assert.matches("held by an agent on elsewhere", agent.apps:rows().web.error)
    consul.expire("twin")
    fake.timer.advance(5000)
    assert.same({ "spawn own", "spawn web", "spawn web#2" }, { table.unpack(fake.keeper.calls, calls + 1) })
    assert.equal('"alpha"', consul.value("appmgr/leader"))
    assert.truthy(document("status/alpha/applications"))
  end)

  it("that starts while its name is held does not use what it remembers", function()
    start()
    assign(web())
    fake.timer.advance(2000)
    fake.signals.TERM()
    fake.timer.advance(10)
    fake.keeper.records, fake.keeper.calls = {}, {}
    consul.expire(agent.session:id())
    consul.store.sessions.twin = {}
    consul.store:write("appmgr/live/alpha", "{}", "twin")
    start()
    fake.timer.advance(20000)
    assert.same({ "spawn own" }, fake.keeper.calls)
  end)

  it("that starts while its name is held does not either when Consul takes its time to give it a session", function()
    start()
    assign(web())
    fake.timer.advance(2000)
    fake.signals.TERM()
    fake.timer.advance(10)
    fake.keeper.records, fake.keeper.calls = {}, {}
    consul.expire(agent.session:id())
    consul.store.sessions.twin = {}
    consul.store:write("appmgr/live/alpha", "{}", "twin")
    local respond = consul.http.respond
    consul.http.respond = function(request)
      if not request.url:find("/session/", 1, true) then respond(request) end
    end
    start()
    fake.timer.advance(8000)
    assert.same({ "spawn own" }, fake.keeper.calls)
  end)

  it("that was taken for gone, and does not know it yet, starts nothing that it was given before", function()
    start()
    assign()
    fake.timer.advance(2000)
    consul.expire(agent.session:id())
    assign(web())
    fake.timer.advance(2) -- that it has heard; others have it since
    assign()
    fake.timer.advance(20000)
    assert.same({ "spawn own" }, fake.keeper.calls)
    assert.equal(agent.session:id(), consul.holder("appmgr/live/alpha"))
    assign(web())
    fake.timer.advance(2000)
    assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
  end)

  describe("whose key among the live somebody deleted, and that reads in its assignment that it is gone,", function()
    local respond

    local function delete_key()
      start()
      content = json.encode({ command = "sleep 2", on_disconnect = { stop_after_seconds = 20 } })
      assign(web())
      fake.timer.advance(2000)
      fake.keeper.run(fake.keeper.id_of("web"))
      consul.delete("appmgr/live/alpha")
      consul.put("appmgr/assignment/alpha", json.encode({ replicas = { web() }, gone_since = 1600000000 }))
    end

    before_each(function() respond = consul.http.respond end)

    it("is back at once, and goes on", function()
      delete_key()
      fake.timer.advance(10)
      assert.equal(agent.session:id(), consul.holder("appmgr/live/alpha"))
      fake.timer.advance(30000)
      assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
    end)

    it("stops what must not run twice in time when it cannot be back", function()
      delete_key()
      consul.http.respond = function(request)
        if not request.url:find("live/alpha", 1, true) then return respond(request) end
        fake.timer.after(1, function() request.fail("connect", "refused") end)
      end
      fake.timer.advance(10)
      local renewed_ms = fake.keeper.renewed_ms
      fake.timer.advance(20000)
      assert.equal(renewed_ms, fake.keeper.renewed_ms)
      assert.same({ "spawn own", "spawn web", "stop web" }, fake.keeper.calls)
      consul.http.respond = respond
      fake.timer.advance(70000)
      assert.is_true(fake.keeper.renewed_ms > renewed_ms)
    end)
  end)

  describe("with what must not run twice, given to its name before it had it,", function()
    local slot

    before_each(function()
      content = json.encode({ command = "sleep 2", on_disconnect = { stop_after_seconds = 20 } })
      slot = web()
      slot.stops_within = 30
      assign(slot)
    end)

    local function restart()
      fake.signals.TERM()
      fake.timer.advance(10)
      fake.keeper.calls, fake.keeper.records = {}, {}
      start()
    end

    it("waits until whoever had it has surely stopped it, also when it starts again meanwhile", function()
      start()
      fake.timer.advance(20000)
      assert.same({ "spawn own" }, fake.keeper.calls)
      assert.matches("whoever had it under this node's name before", agent.apps:rows().web.error)
      restart()
      fake.timer.advance(9000)
      assert.same({ "spawn own" }, fake.keeper.calls)
      fake.timer.advance(2000)
      assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
    end)

    it("starts at once what it had itself, and what it is given now", function()
      start()
      fake.timer.advance(40000)
      fake.keeper.run(fake.keeper.id_of("web"))
      restart()
      consul.expire(consul.holder("appmgr/live/alpha"))
      fake.timer.advance(15000)
      assert.same({ "spawn own", "spawn web" }, fake.keeper.calls)
      local other = { task = "web", slot = 1, version = version, since = 1600001000, stops_within = 30 }
      assign(slot, other)
      fake.timer.advance(2000)
      assert.same({ "spawn own", "spawn web", "spawn web#2" }, fake.keeper.calls)
    end)
  end)

  it("that leaves while Consul is away ends in bounded time and says what stays there", function()
    fake.planner = fake_planner.new()
    start("{}")
    fake.timer.advance(2000)
    consul.down = true
    local left
    agent:leave(function(result) left = result end)
    fake.timer.advance(2500)
    fake.keeper.shutdown_callback(true)
    fake.timer.advance(2500)
    assert.matches("the keys it holds could not be removed", left.warning)
    assert.equal(1, fake.log.count("the leadership could not be handed over"))
    assert.is_true(fake.is_stopped)
  end)

  it("that leaves is gone from Consul, and remembers no assignment", function()
    start()
    assign(web())
    fake.timer.advance(2000)
    local left
    agent:leave(function(result) left = result end)
    fake.timer.advance(100)
    assert.is_nil(left)
    assert.truthy(document("live/alpha"))
    fake.keeper.shutdown_callback(true)
    fake.timer.advance(1000)
    assert.equal(2, left.stopped)
    assert.is_nil(left.warning)
    -- A leader, maybe a later one, hears by it that nobody needs to wait for this node.
    assert.is_true(document("live/alpha").left)
    assert.is_nil(consul.holder("appmgr/live/alpha"))
    assert.is_nil(document("status/alpha/resource"))
    assert.is_nil(fake.file.texts["/state/assignment.json"])
    assert.is_true(fake.is_stopped)
    -- The store's own end of the long poll that was cancelled.
    fake.timer.advance(30000)
    assert.equal(0, fake.timer.pending())
  end)
end)
