local Problems = require("appmgr.problems")
local Report = require("appmgr.node.report")
local consul = require("spec.support.consul")
local core = require("spec.support.core")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

local json = core.json

describe("the report", function()
  local client, http, timer, problems, log, report, rows, session, now, sampled, doubts
  local acted_on, slow, measured, told_written

  before_each(function()
    client, http = consul.client()
    timer, log, rows, session, now, sampled, doubts = fake_timer.new(), fake_log.new(), {}, "s1", 0, 0, 0
    slow, measured, told_written = false, nil, 0
    problems, acted_on = Problems.new({ log = log, now = os.time }), 0
    report = Report.new({
      client = client, timer = timer, problems = problems, json = json, node = "alpha", interval_ms = 10000,
      clock = { now = function() return now end, text = function(time) return "T" .. time end },
      session = function() return session end,
      resource = function() return { cpu_cores = 2, pid = 1 } end,
      rows = function() return rows end,
      acted_on = function() return acted_on end,
      sample = function(callback)
        sampled = sampled + 1
        if not slow then return callback() end
        measured = callback
      end,
      doubt_session = function() doubts = doubts + 1 end,
      on_written = function() told_written = told_written + 1 end,
    })
  end)

  local function open() return http.open("/v1/txn")[1] end

  --- What the open transaction writes: key → decoded value.
  local function written()
    local values = {}
    for _, operation in ipairs(json.decode(open().body)) do
      assert.equal("lock", operation.KV.Verb)
      assert.equal(session, operation.KV.Session)
      values[operation.KV.Key:match("([^/]+)$")] = json.decode(core.codec.base64_decode(operation.KV.Value))
    end
    return values
  end

  local function applied() open().reply(200, '{"Results":[]}') end

  it("writes both keys in one transaction, at once and then at each interval", function()
    rows = { ping = { name = "ping", state = "running" } }
    report:start()
    assert.same({ resource = { cpu_cores = 2, pid = 1, systime = "T0" },
      applications = { ping = { name = "ping", state = "running" } } }, written())
    applied()
    now = 10
    timer.advance(10000)
    assert.equal("T10", written().resource.systime)
    assert.truthy(written().applications)
    assert.equal(2, sampled)
  end)

  it("tells when a report of the interval is written, and of no other", function()
    report:start()
    assert.equal(0, told_written)
    applied()
    assert.equal(1, told_written)
    rows = { a = { state = "starting" } }
    timer.advance(100)
    report:changed()
    applied()
    assert.equal(1, told_written)
    timer.advance(10000)
    open().reply(500, "no")
    assert.equal(1, told_written)
    timer.advance(10000)
    applied()
    assert.equal(2, told_written)
  end)

  it("writes what was measured, and nothing when it was stopped meanwhile", function()
    slow, rows = true, { ping = { name = "ping" } }
    report:start()
    assert.is_nil(open())
    rows.ping.memory = 7
    measured()
    assert.equal(7, written().applications.ping.memory)
    applied()
    timer.advance(10000)
    report:stop()
    measured()
    assert.is_nil(open())
  end)

  it("writes a change at once, further ones together after 100 ms, the same one never", function()
    report:start()
    applied()
    rows = { a = { state = "starting" } }
    report:changed()
    assert.same({ applications = { a = { state = "starting" } } }, written())
    applied()
    rows = { a = { state = "running" } }
    report:changed()
    report:changed()
    assert.is_nil(open())
    timer.advance(100)
    assert.same({ applications = { a = { state = "running" } } }, written())
    applied()
    timer.advance(200)
    report:changed()
    assert.is_nil(open())
  end)

  it("says in the flags of the applications which assignment they follow, also when nothing else changed", function()
    local function flags()
      local found = {}
      for _, operation in ipairs(json.decode(open().body)) do
        found[operation.KV.Key:match("([^/]+)$")] = operation.KV.Flags or 0
      end
      return found
    end
    report:start()
    assert.same({ resource = 0, applications = 0 }, flags())
    applied()
    acted_on = 17
    report:changed()
    assert.same({ applications = 17 }, flags())
    applied()
    timer.advance(200)
    report:changed()
    assert.is_nil(open())
  end)

  it("has one transaction on its way, and writes afterwards what came meanwhile", function()
    report:start()
    rows = { a = { state = "running" } }
    report:changed()
    assert.equal(1, #http.requests)
    applied()
    timer.advance(100)
    assert.same({ a = { state = "running" } }, written().applications)
  end)

  it("leaves the applications alone while it is not known what runs", function()
    rows = nil
    report:start()
    assert.is_nil(written().applications)
    assert.truthy(written().resource)
  end)

  it("waits for a session, and writes all again under another one", function()
    session = nil
    report:start()
    assert.is_nil(open())
    session = "s1"
    timer.advance(10000)
    applied()
    report:stop()
    session = "s2"
    report:start()
    assert.truthy(written().resource)
    assert.truthy(written().applications)
  end)

  it("tells a refusal once, and that it is over", function()
    report:start()
    open().reply(409, '{"Results":null,"Errors":[{"OpIndex":0,"What":"invalid session"}]}')
    timer.advance(10000)
    open().reply(409, '{"Results":null,"Errors":[{"OpIndex":0,"What":"invalid session"}]}')
    assert.equal(1, log.count("WARN the status of this node is not written: invalid session"))
    assert.equal(2, doubts)
    timer.advance(10000)
    open().fail("connect", "refused")
    assert.equal(2, doubts)
    timer.advance(10000)
    applied()
    assert.equal(0, #problems:list())
  end)

  it("that would not fit is made smaller step by step, and no row is left out", function()
    local function fill(count)
      rows = {}
      for i = 1, count do
        rows["application-" .. i] = {
          name = "application-" .. i, id = ("%036d"):format(i), state = "running", task = "t", slot = i, status = 1,
          version = "0123456789abcdef", command = ("x"):rep(300), working_dir = "/", user = "root", health = 0,
          comments = ("y"):rep(200), last_start_time = "2026-11-23 16:00:00", pid = i, restarts = 0, memory = 1000000,
        }
      end
      timer.advance(10000)
      assert.is_true(#open().body <= 512 * 1024)
      local values, seen = written(), 0
      for _, row in pairs(values.applications) do
        seen = seen + 1
        assert.truthy(row.state and row.task and row.slot and row.version)
      end
      assert.equal(count, seen)
      applied()
      return values.resource.applications_detail
    end
    report:start()
    applied()
    assert.is_nil(fill(400))
    assert.equal(0, #problems:list())
    assert.equal("short", fill(1200))
    assert.equal("core", fill(1900))
    assert.equal("least", fill(2600))
    assert.equal(1, #problems:list())
    assert.is_nil(fill(10))
    assert.equal(0, #problems:list())
  end)

  it("that fits in no way is told and leaves the key as it was", function()
    report:start()
    applied()
    for i = 1, 6000 do rows["application-" .. i] = { state = "running", task = "task-name", slot = i, version = ("v"):rep(16) } end
    timer.advance(10000)
    assert.is_nil(open())
    assert.matches("even with the least detail", problems:list()[1].text)
  end)

  it("ends with nothing left behind", function()
    report:start()
    report:changed()
    report:stop()
    assert.is_nil(open())
    assert.equal(0, timer.pending())
    report:changed()
    assert.equal(1, #http.requests)
  end)
end)
