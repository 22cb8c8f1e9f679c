local App = require("appmgr.node.app")
local fake_log = require("spec.support.fake_log")
local fake_process = require("spec.support.fake_process")

-- What each state does at each event: "command state"; "-" stays and does nothing.
local EXPECTED = [[
event     idle            starting        running         backoff         stopping     replacing         failed           gave_up
start     spawn>starting  -               -               -               replacing    -                 -                -
stop      -               stop>stopping   stop>stopping   stop>stopping   -            stopping          forget>idle      forget>idle
replace   spawn>starting  stop>replacing  stop>replacing  stop>replacing  replacing    -                 respawn>starting respawn>starting
update    -               update          update          update          -            -                 update           update
started   -               running         -               running         -            -                 running          running
exited    -               backoff         backoff         -               -            -                 backoff          backoff
ended     -               failed          failed          failed          -            -                 -                failed
stopping  -               replacing       replacing       replacing       -            -                 -                -
stopped   -               respawn>starting respawn>starting respawn>starting forget>idle respawn>starting -               -
gave_up   -               gave_up         gave_up         gave_up         -            -                 gave_up          -
lost      -               spawn>starting  spawn>starting  spawn>starting  drop>idle    spawn>starting    spawn>starting   spawn>starting
]]

local function cell_text(step)
  if step.command and step.state then return step.command .. ">" .. step.state end
  return step.command or step.state or "-"
end

local function definition(hash, tag)
  tag = tag or ('{"kind":"local","name":"web","hash":"%s"}'):format(hash)
  return { hash = hash, tag = tag, application = {}, spawn = function() return { id = "i", tag = tag, stop_signal = 15 } end }
end

local function new_app()
  local keeper = fake_process.new()
  local connection = { keeper = keeper }
  local app = App.new({
    id = "i", kind = "local", name = "web", log = fake_log.new(), on_change = function() end,
    keeper = function() return connection.keeper end,
  })
  keeper.on_event = function(event) app:handle(event, 1600000020) end
  return app, keeper, connection
end

describe("the table of an application", function()
  local states, seen = nil, 0
  for line in EXPECTED:gmatch("[^\n]+") do
    local words = {}
    for word in line:gmatch("%S+") do words[#words + 1] = word end
    if not states then
      states = words
    else
      for column = 2, #states do
        seen = seen + 1
        it(("does what is meant in %s at %s"):format(states[column], words[1]), function()
          assert.equal(words[column], cell_text(App.action[states[column]][words[1]]))
        end)
      end
    end
  end

  it("has no other cell", function()
    local cells = 0
    for _, row in pairs(App.action) do
      for _ in pairs(row) do cells = cells + 1 end
    end
    assert.equal(seen, cells)
    assert.equal(88, cells)
  end)

  it("never spawns where a process may still be", function()
    for _, state in ipairs({ "starting", "running", "backoff", "stopping", "replacing" }) do
      for event, step in pairs(App.action[state]) do
        if step.command == "spawn" then assert.equal("lost", event) end
        if step.command == "respawn" then assert.equal("stopped", event) end
      end
    end
  end)
end)

describe("an application", function()
  it("starts once, however often it is wanted", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    app:want("run", definition("a"))
    keeper.run("i")
    app:want("run", definition("a"))
    assert.same({ "spawn web" }, keeper.calls)
    assert.equal("running", app.state)
    assert.equal(101, app.pid)
  end)

  it("is replaced when its process must be another one", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    app:want("run", definition("b"))
    keeper.exit("i", { signal = 15, next = "stop" })
    assert.equal("replacing", app.state)
    keeper.finish("i")
    assert.same({ "spawn web", "stop web", "forget web", "spawn web" }, keeper.calls)
    assert.equal("b", app.kept.hash)
  end)

  it("is updated in place when only its settings changed", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    app:want("run", definition("a", '{"name":"web","hash":"a","settings":"other"}'))
    assert.same({ "spawn web", "update web" }, keeper.calls)
    assert.equal("running", app.state)
  end)

  it("that is wanted again while it stops is started when it is gone", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    app:want("off")
    app:want("run", definition("a"))
    assert.same({ "spawn web", "stop web" }, keeper.calls)
    keeper.finish("i")
    assert.same({ "spawn web", "stop web", "forget web", "spawn web" }, keeper.calls)
  end)

  it("remembers how it ended and when it is tried again", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    keeper.exit("i", { code = 3, next = "restart", delay_ms = 2000 })
    assert.equal("backoff", app.state)
    assert.same({ code = 3, at = 1600000010.0 }, app.last_exit)
    assert.equal(1600000012.0, app.next_start_at)
    assert.is_nil(app.pid)
  end)

  it("that cannot be started says why", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    app:handle({ type = "spawn_failed", id = "i", error = "ENOENT: /no/such", next = "restart", delay_ms = 1000 }, 50)
    assert.equal("backoff", app.state)
    assert.equal("ENOENT: /no/such", app.error)
    assert.equal(51, app.next_start_at)
    app:handle({ type = "spawn_failed", id = "i", error = "ENOENT: /no/such", next = "none" }, 60)
    assert.equal("failed", app.state)
    keeper.run("i")
    assert.is_nil(app.error)
  end)

  it("whose start takes long keeps nobody waiting who asked for a restart", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    local seen
    app:restart(function() seen = app.state .. ": " .. app.error end)
    app:handle({ type = "stopped", id = "i" }, 50)
    assert.is_nil(seen)
    app:handle({ type = "error", id = "i", step = "start", error = "it may hang", message = "it may hang" }, 56)
    assert.equal("starting: it may hang", seen)
  end)

  it("whose start takes long says so until it runs", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    app:handle({ type = "error", id = "i", step = "start", error = "it may hang", message = "it may hang" }, 50)
    assert.equal("starting", app.state)
    assert.equal("it may hang", app.error)
    keeper.run("i")
    assert.is_nil(app.error)
    app:handle({ type = "error", id = "i", step = "start", error = "it may hang", message = "it may hang" }, 50)
    app:handle({ type = "stopped", id = "i" }, 60)
    assert.is_nil(app.error)
  end)

  it("whose init command took long to start says so until that runs", function()
    local app = new_app()
    app:want("run", definition("a"))
    app:handle({ type = "error", id = "i", step = "start", error = "it may hang", message = "it may hang" }, 50)
    app:handle({ type = "phase", id = "i", phase = "init" }, 60)
    assert.is_nil(app.error)
  end)

  it("that ended is not started anew before the keeper has cleared away what it left", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    keeper.exit("i", { code = 0, next = "none" })
    app:want("run", definition("b"))
    app:want("off")
    app:want("run", definition("b"))
    assert.same({ "spawn web" }, keeper.calls)
    keeper.finish("i")
    assert.same({ "spawn web", "forget web", "spawn web" }, keeper.calls)
    assert.equal("starting", app.state)
  end)

  it("takes an exit that it knows from the keeper's list as history", function()
    local app, keeper = new_app()
    app:want("run", definition("a"))
    keeper.run("i")
    keeper.exit("i", { code = 4, next = "none" })
    keeper.finish("i")
    local event = { type = "exited", id = "i", code = 4, at = app.last_exit.at, next = "none" }
    app:handle(event, 1)
    app:want("run", definition("b"))
    assert.same({ "spawn web", "forget web", "spawn web" }, keeper.calls)
  end)

  describe("whose clock was set back while it ran", function()
    local app, keeper

    before_each(function()
      app, keeper = new_app()
      app:want("run", definition("a"))
      keeper.wall = 1600003600
      keeper.run("i")
      keeper.wall = 1600000000
    end)

    it("is seen to end, and to wait for its next start", function()
      keeper.exit("i", { code = 3, next = "restart" })
      assert.same({ "backoff", 3 }, { app.state, app.last_exit.code })
      assert.is_nil(app.pid)
      keeper.run("i")
      assert.equal("running", app.state)
    end)

    it("is seen to end for good", function()
      keeper.exit("i", { code = 0, next = "none" })
      assert.equal("failed", app.state)
    end)

    it("takes an exit of the run before as history all the same", function()
      app:handle({ type = "exited", id = "i", code = 1, at = 1600000500, started_at = 1600000400, next = "restart" }, 1)
      assert.equal("running", app.state)
      assert.is_not_nil(app.pid)
    end)
  end)

  it("that is too large to be sent fails until it is another one", function()
    local app, keeper = new_app()
    keeper.refuse_spawn = "it is larger than a message may be"
    app:want("run", definition("a"))
    app:want("run", definition("a"))
    assert.equal("failed", app.state)
    assert.equal(keeper.refuse_spawn, app.error)
    keeper.refuse_spawn = nil
    app:want("run", definition("b"))
    assert.equal("starting", app.state)
    assert.is_nil(app.error)
  end)

  it("waits for a keeper", function()
    local app, keeper, connection = new_app()
    connection.keeper = nil
    app:want("run", definition("a"))
    assert.same({}, keeper.calls)
    connection.keeper = keeper
    app:settle()
    assert.same({ "spawn web" }, keeper.calls)
  end)

  describe("that a keeper holds already", function()
    local function adopted(state, tag, next_step)
      local app, keeper = new_app()
      keeper.records.i = { id = "i", tag = tag or definition("a").tag, state = state, pid = 7, starts = 3, next = next_step }
      app:adopt(keeper.list()[1], { hash = "a" })
      return app, keeper
    end

    it("is left running when it is what is wanted", function()
      local app, keeper = adopted("running")
      app:want("run", definition("a"))
      assert.same({}, keeper.calls)
      assert.equal("running", app.state)
      assert.equal(7, app.pid)
    end)

    it("shows when it is tried again", function()
      local app, keeper = adopted("backoff")
      local item = keeper.list()[1]
      item.last_exit, item.next_start_at = { code = 1, at = 100.0 }, 104.0
      app:adopt(item, { hash = "a" })
      assert.equal(104.0, app.next_start_at)
      item.state, item.next_start_at = "running", nil
      app:adopt(item, { hash = "a" })
      assert.is_nil(app.next_start_at)
    end)

    it("shows no next start once it is disabled", function()
      local app, keeper = adopted("backoff")
      local item = keeper.list()[1]
      item.last_exit, item.next_start_at = { code = 1, at = 100.0 }, 104.0
      app:adopt(item, { hash = "a" })
      app:want("off")
      app:handle({ type = "stopped" }, 101)
      assert.equal("idle", app.state)
      assert.is_nil(app.next_start_at)
    end)

    it("is stopped when it is not wanted, kept when nobody knows", function()
      local app, keeper = adopted("running")
      app:want("keep")
      assert.same({}, keeper.calls)
      app:want("off")
      assert.same({ "stop web" }, keeper.calls)
    end)

    it("is started anew when it was stopped meanwhile", function()
      local app, keeper = adopted("stopped")
      assert.equal("idle", app.state)
      app:want("run", definition("a"))
      assert.same({ "forget web", "spawn i" }, { keeper.calls[1], (keeper.calls[2]:gsub("web", "i")) })
    end)

    it("is started when it still stops but is wanted", function()
      local app, keeper = adopted("stopping")
      app:want("run", definition("a"))
      assert.equal("replacing", app.state)
      keeper.on_event = function(event) app:handle(event, 1) end
      keeper.finish("i")
      assert.equal("starting", app.state)
    end)

    it("stays as it ended when it is not to be restarted", function()
      local app, keeper = adopted("stopped", nil, "none")
      app:want("run", definition("a"))
      assert.same({ "failed", 0 }, { app.state, #keeper.calls })
      app:want("run", definition("b"))
      assert.same({ "forget web", "spawn web" }, keeper.calls)
    end)

    it("and ended for good, is waited for until what it left is cleared away", function()
      for told, state in pairs({ stopped = "failed", gave_up = "gave_up" }) do
        local app, keeper = adopted("stopping", nil, "none")
        app:want("run", definition("a"))
        app:handle({ type = told, id = "i" }, 1)
        assert.same({ state, 0 }, { app.state, #keeper.calls })
        app:want("run", definition("b"))
        assert.same({ "forget web", "spawn web" }, keeper.calls)
      end
    end)

    it("stays given up until something changes", function()
      local app, keeper = adopted("gave_up")
      app:want("run", definition("a"))
      assert.same({}, keeper.calls)
      app:want("run", definition("b"))
      assert.same({ "forget web", "spawn web" }, keeper.calls)
    end)

    it("and whose document is not known is not started by anybody when the keeper loses it", function()
      local app, keeper = adopted("running")
      app:want("keep")
      app:lost()
      assert.equal("idle", app.state)
      assert.same({}, keeper.calls)
    end)
  end)
end)

describe("a restart by hand", function()
  it("starts what failed or gave up, and tells how that went", function()
    for _, ending in ipairs({ "failed", "gave_up" }) do
      local app, keeper = new_app()
      app:want("run", definition("h"))
      keeper.run("i")
      keeper.exit("i", { code = 1, next = "none" })
      if ending == "gave_up" then app:handle({ type = "gave_up", id = "i" }, 0) end
      assert.equal(ending, app.state)
      local told
      assert.is_true(app:restart(function() told = app.state end))
      assert.is_nil(told)
      keeper.run("i")
      assert.equal("running", told)
    end
  end)

  it("ends in a failure that is told", function()
    local app, keeper = new_app()
    app:want("run", definition("h"))
    keeper.run("i")
    local told
    app:restart(function() told = app.state .. ": " .. app.error end)
    keeper.exit("i", { signal = 15, next = "stop" })
    keeper.refuse_spawn = "too large"
    keeper.finish("i")
    assert.equal("failed: too large", told)
  end)

  it("is told when it became a stop meanwhile", function()
    local app, keeper = new_app()
    app:want("run", definition("h"))
    keeper.run("i")
    local told
    app:restart(function() told = app.state end)
    app:want("off")
    keeper.exit("i", { signal = 15, next = "stop" })
    keeper.finish("i")
    assert.equal("idle", told)
  end)

  it("survives a connection that is lost in between", function()
    local app, keeper, connection = new_app()
    app:want("run", definition("h"))
    keeper.run("i")
    local told
    app:restart(function() told = app.state end)
    connection.keeper = nil
    local record = keeper.records.i
    record.state, record.pid = "stopped", nil
    connection.keeper = keeper
    app:adopt(record, { hash = "h" })
    app:settle()
    keeper.run("i")
    assert.equal("running", told)
  end)
end)
