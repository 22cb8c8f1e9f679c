local core = require("spec.support.core")
local connection = require("appmgr.cli.connection")

--- A core.control whose client answers with prepared lines.
local function control(lines)
  local client = { sent = {} }
  function client:send(line)
    self.sent[#self.sent + 1] = core.json.decode(line)
    return true
  end
  function client.receive()
    local line = table.remove(lines, 1)
    if line then return line end
    return nil, lines.reason or "closed"
  end
  function client.close() end
  return { connect = function() return client end, client = client }
end

local function open(lines)
  local fake = control(lines)
  return connection.open(fake, "/x.sock"), fake.client
end

describe("a connection to the agent", function()
  it("names the socket and the next step when nobody is there", function()
    local opened, err = connection.open({ connect = function() return nil, "/x.sock: no such file" end }, "/x.sock")
    assert.is_nil(opened)
    assert.equal('no agent answers on /x.sock (no such file); start one with "appmgr agent", '
      .. "or name its socket with --socket or APPMGR_SOCKET (one that was removed is made anew on SIGHUP)", err)
  end)

  it("sends a request and hands over the result", function()
    local conn, client = open({ '{"id":1,"result":{"a":1}}', '{"id":2,"result":[]}' })
    assert.same({ a = 1 }, conn:call("status"))
    assert.same({}, conn:call("app.list", { x = true }))
    assert.same({ { id = 1, method = "status", params = {} }, { id = 2, method = "app.list", params = { x = true } } },
      client.sent)
  end)

  it("hands over events, then the result; passes over what is not its own", function()
    local events = {}
    local conn = open({ '{"id":9,"result":1}', '{"id":1,"event":"a"}', '{"id":1,"event":"b"}', '{"id":1,"result":"z"}' })
    assert.equal("z", conn:call("app.logs", {}, function(event) events[#events + 1] = event end))
    assert.same({ "a", "b" }, events)
  end)

  it("hands over refusals", function()
    local conn = open({ '{"id":1,"error":{"code":"not_found","message":"no such task"}}' })
    local result, message, code = conn:call("task.remove")
    assert.is_nil(result)
    assert.equal("no such task", message)
    assert.equal("not_found", code)
  end)

  it("says what happened when no answer comes", function()
    local _, err, code = open({}):call("status")
    assert.equal("closed", code)
    assert.truthy(err:find("/x.sock ended the connection", 1, true))
    _, err, code = open({ reason = "timeout" }):call("status")
    assert.equal("timeout", code)
    assert.truthy(err:find("does not answer", 1, true))
    _, err, code = open({ "HTTP/1.1 400 Bad Request" }):call("status")
    assert.equal("protocol", code)
    assert.truthy(err:find("/x.sock", 1, true))
  end)

  it("refuses a request that the agent would not read", function()
    local _, err, code = open({}):call("task.apply", { document = ("x"):rep(1100000) })
    assert.equal("too_large", code)
    assert.truthy(err:find("too large", 1, true))
  end)
end)
