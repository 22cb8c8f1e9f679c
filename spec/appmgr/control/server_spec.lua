local core = require("spec.support.core")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")
local server = require("appmgr.control.server")

--- A server whose socket is played by the spec: `say(conn, line)` and what came back.
local function start(handlers)
  local options
  local log, listens = fake_log.new(), 0
  local file = fake_file.new({ ["/x.sock"] = "" })
  local instance = server.new({
    agent = { node = "alpha" },
    path = "/x.sock",
    handlers = handlers,
    core = { log = log, file = file, control = { listen = function(given)
      if file.refuse["/x.sock"] then return nil, "/x.sock: refused" end
      options = given
      listens = listens + 1
      return { close = function() log.info("closed") end }
    end } },
  })
  return {
    server = instance, log = log, file = file, listens = function() return listens end,
    close = function(conn) options.on_close(conn) end, options = options,
    say = function(conn, line) options.on_line(conn, type(line) == "string" and line or core.json.encode(line)) end,
  }
end

local function connection()
  local conn = { answers = {} }
  function conn:send(line) self.answers[#self.answers + 1] = core.json.decode(line) end
  return conn
end

local ECHO = {
  echo = function(_, request) request:reply(request.params) end,
  node = function(agent, request) request:reply(agent.node) end,
  nothing = function(_, request) request:reply() end,
  refuse = function(_, request) request:fail("not_found", "no such thing") end,
  crash = function() error("a bug") end,
}

describe("the control server", function()
  it("answers requests under their own id", function()
    local s, conn = start(ECHO), connection()
    s.say(conn, { id = 7, method = "echo", params = { a = 1 } })
    s.say(conn, { id = "x", method = "node" })
    s.say(conn, { id = 8, method = "refuse" })
    assert.same({
      { id = 7, result = { a = 1 } },
      { id = "x", result = "alpha" },
      { id = 8, error = { code = "not_found", message = "no such thing" } },
    }, conn.answers)
  end)

  it("makes a socket anew that somebody has removed", function()
    local s = start(ECHO)
    assert.is_true(s.server:restore())
    assert.equal(0, s.log.count("closed"))
    s.file.texts["/x.sock"], s.file.refuse["/x.sock"] = nil, "no"
    assert.same({ nil, "/x.sock: refused", n = 2 }, table.pack(s.server:restore()))
    s.file.refuse = {}
    assert.is_true(s.server:restore())
    assert.same({ 1, 2 }, { s.log.count("closed"), s.listens() })
  end)

  it("refuses what is no request, and goes on", function()
    local s, conn = start(ECHO), connection()
    for _, line in ipairs({ "GET / HTTP/1.1", "", "[]", "3", '{"id":1}', '{"method":3}', '{"method":"echo","params":4}' }) do
      s.say(conn, line)
    end
    assert.equal(7, #conn.answers)
    for _, answer in ipairs(conn.answers) do assert.equal("bad_request", answer.error.code) end
    s.say(conn, { id = 1, method = "node" })
    assert.equal("alpha", conn.answers[8].result)
  end)

  it("names the nearest method to an unknown one", function()
    local s, conn = start(ECHO), connection()
    s.say(conn, { id = 1, method = "ecko" })
    assert.same({ code = "unknown_method", message = 'this agent knows no method "ecko"; did you mean "echo"?' },
      conn.answers[1].error)
  end)

  it("survives a handler that fails, and says so to client and log", function()
    local s, conn = start(ECHO), connection()
    s.say(conn, { id = 1, method = "crash" })
    assert.equal("internal", conn.answers[1].error.code)
    assert.truthy(conn.answers[1].error.message:find("a bug", 1, true))
    assert.truthy(s.log.lines[1]:find("stack traceback", 1, true))
  end)

  it("answers each request once, later or never", function()
    local waiting
    local s, conn = start({ wait = function(_, request) waiting = request end }), connection()
    s.say(conn, { id = 1, method = "wait" })
    assert.same({}, conn.answers)
    waiting:event("tick")
    waiting:reply("done")
    waiting:reply("again")
    waiting:fail("failed", "no")
    waiting:event("late")
    assert.same({ { id = 1, event = "tick" }, { id = 1, result = "done" } }, conn.answers)
  end)

  it("tells handlers when their client goes away, and answers nobody", function()
    local waiting, gone
    local s, conn = start({ wait = function(_, request)
      waiting = request
      request:on_close(function() gone = true end)
    end }), connection()
    s.say(conn, { id = 1, method = "wait" })
    s.close(conn)
    assert.is_true(gone)
    assert.is_true(waiting.closed)
    waiting:reply("late")
    assert.same({}, conn.answers)
  end)

  it("answers a client that sends no more before it closes", function()
    local waiting
    local s, conn = start({ wait = function(_, request) waiting = request end, echo = ECHO.echo }), connection()
    function conn:close() self.closed = true end
    s.say(conn, { id = 1, method = "wait" })
    s.say(conn, { id = 2, method = "echo" })
    s.options.on_input_end(conn)
    assert.is_nil(conn.closed)
    waiting:reply("done")
    assert.same({ id = 1, result = "done" }, conn.answers[2])
    assert.is_true(conn.closed)
  end)

  it("closes at once for a client that sends no more and waits for nothing", function()
    local s, conn = start(ECHO), connection()
    function conn:close() self.closed = true end
    s.say(conn, { id = 1, method = "node" })
    s.options.on_input_end(conn)
    assert.is_true(conn.closed)
  end)

  it("limits how many requests of a connection are open", function()
    local s, conn = start({ wait = function() end }), connection()
    for id = 1, 65 do s.say(conn, { id = id, method = "wait" }) end
    assert.equal(1, #conn.answers)
    assert.same({ id = 65, code = "too_many" }, { id = conn.answers[1].id, code = conn.answers[1].error.code })
  end)

  it("keeps a session for each connection", function()
    local handlers = { count = function(_, request)
      request.session.n = (request.session.n or 0) + 1
      request:reply(request.session.n)
    end }
    local s, one, other = start(handlers), connection(), connection()
    s.say(one, { id = 1, method = "count" })
    s.say(one, { id = 2, method = "count" })
    s.say(other, { id = 1, method = "count" })
    assert.equal(2, one.answers[2].result)
    assert.equal(1, other.answers[1].result)
  end)

  it("logs who was turned away, and hands on why it cannot listen", function()
    local s = start(ECHO)
    s.options.on_refused(1000)
    assert.truthy(s.log.lines[1]:find("uid 1000", 1, true))
    local made, err = server.new({ agent = {}, path = "/x", handlers = {}, core = {
      log = s.log, control = { listen = function() return nil, "/x: in use by pid 7" end },
    } })
    assert.is_nil(made)
    assert.equal("/x: in use by pid 7", err)
  end)
end)
