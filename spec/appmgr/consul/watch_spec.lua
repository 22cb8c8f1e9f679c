local fake_timer = require("spec.support.fake_timer")
local support = require("spec.support.consul")
local Watch = require("appmgr.consul.watch")

describe("a watch", function()
  local client, http, timer, watch, delivered, errors

  local function listing(value, index)
    return support.listing({ { key = "appmgr/task/a", value = value, index = index } })
  end

  local function query(name)
    return http.last().url:match("[?&]" .. name .. "=(%w+)")
  end

  local function reply(status, body, index)
    http.only().reply(status, body, index and support.index(index) or {})
  end

  before_each(function()
    timer, delivered, errors = fake_timer.new(), {}, {}
    client, http = support.client()
    watch = Watch.new({
      client = client, timer = timer, random = function() return 0 end,
      key = "task/", recurse = true, fallback_ms = 5000,
      deliver = function(answer) delivered[#delivered + 1] = answer end,
      on_error = function(err) errors[#errors + 1] = err or "over" end,
    })
    watch:start()
  end)

  it("reads at once, then blocks from the index it got", function()
    assert.is_nil(query("index"))
    local body = listing("1", 8)
    reply(200, body, 8)
    assert.same({ { status = 200, index = 8, body = body } }, delivered)
    assert.equal("8", query("index"))
    assert.equal("25s", query("wait"))
  end)

  it("delivers each change at once, however many", function()
    for i = 1, 20 do reply(200, listing(tostring(i), i), i) end
    assert.equal(20, #delivered)
    assert.equal(21, #http.requests)
  end)

  it("delivers an absence, and what appears after it", function()
    reply(404, "", 5)
    reply(200, listing("1", 6), 6)
    assert.same({ 404, 200 }, { delivered[1].status, delivered[2].status })
  end)

  it("says nothing when a poll times out", function()
    reply(200, listing("1", 8), 8)
    timer.advance(25000)
    reply(200, listing("1", 8), 8)
    assert.equal(1, #delivered)
    assert.equal("8", query("index"))
  end)

  it("slows down when it wakes without a change", function()
    reply(404, "", 1)
    for i = 2, 11 do reply(404, "", i) end
    assert.equal(1, #http.open())
    reply(404, "", 12)
    assert.equal(0, #http.open())
    timer.advance(999)
    assert.equal(0, #http.open())
    timer.advance(1)
    assert.equal("12", query("index"))
    -- a change is still told at once
    reply(200, listing("x", 13), 13)
    assert.equal(2, #delivered)
    assert.equal(1, #http.open())
  end)

  it("survives a server that always answers at once with index 1 or none", function()
    local body = listing("1", 1)
    for _ = 1, 60 do
      for _, request in ipairs(http.open()) do request.reply(200, body, {}) end
      timer.advance(1000)
    end
    assert.equal(1, #delivered)
    assert.is_true(#http.requests <= 72, #http.requests .. " requests")
  end)

  it("starts over when the index goes backwards, and tells only what differs", function()
    reply(200, listing("1", 50), 50)
    reply(200, listing("1", 50), 3)
    assert.equal(1, #delivered)
    assert.is_nil(query("index"))
    reply(200, listing("2", 3), 3)
    assert.equal(2, #delivered)
    assert.equal("3", query("index"))
  end)

  for name, lie in pairs({
    ["500"] = { 500, "boom" }, ["403"] = { 403, "Permission denied" }, ["301"] = { 301, "" }, ["429"] = { 429, "" },
    ["a page"] = { 200, "<html>" }, ["half a body"] = { 200, "[{" }, ["nothing"] = { 200, "" },
    ["404 of a proxy"] = { 404, "no such page" },
  }) do
    it("keeps what it told when it meets " .. name, function()
      reply(200, listing("1", 8), 8)
      for _ = 1, 5 do
        reply(lie[1], lie[2], 9)
        timer.advance(5000)
      end
      assert.equal(1, #delivered)
      assert.equal(1, #errors)
      assert.is_nil(query("index"))
      reply(200, listing("1", 8), 8)
      assert.same({ 1, "over" }, { #delivered, errors[2] })
    end)
  end

  it("waits longer after each error, up to the fallback rhythm", function()
    for _, wait_ms in ipairs({ 200, 400, 800, 1600, 3200, 5000, 5000 }) do
      http.only().fail("connect")
      assert.equal(wait_ms, timer.next_ms())
      timer.advance(wait_ms)
    end
    assert.equal(1, #errors)
    reply(404, "", 1)
    http.only().fail("connect")
    assert.equal(200, timer.next_ms())
    assert.equal(3, #errors)
  end)

  it("tells an error of another kind", function()
    http.only().fail("connect")
    timer.advance(200)
    http.only().fail("timeout")
    timer.advance(400)
    reply(500, "x")
    assert.equal(3, #errors)
  end)

  it("stops for good, also from within a delivery", function()
    watch:stop()
    assert.equal(0, #http.open())
    watch:start()
    watch.deliver = function() watch:stop() end
    http.only().reply(200, "[]", support.index(1))
    assert.equal(0, #http.open())
    assert.equal(0, timer.pending())
    watch:stop()
  end)

  it("ignores an answer of the time before a restart", function()
    local late = http.last()
    late.cancel = function() end -- a transport that cannot take an answer back
    watch:stop()
    watch:start()
    late.reply(200, listing("old", 3), support.index(3))
    assert.equal(0, #delivered)
    reply(200, listing("new", 4), 4)
    assert.equal(1, #delivered)
  end)

  it("delivers anew after a restart", function()
    reply(200, "[]", 1)
    watch:stop()
    watch:start()
    reply(200, "[]", 1)
    assert.equal(2, #delivered)
  end)

  it("rests nine times as long as the receiver worked, beyond a burst", function()
    watch.deliver = function() timer.jump(600) end
    reply(200, "[]", 1)
    assert.equal(1000, timer.next_ms())
  end)

  it("goes on, and delivers again, when the receiver fails", function()
    local calls = 0
    watch.deliver = function()
      calls = calls + 1
      if calls == 1 then error("broken receiver") end
    end
    reply(200, "[]", 7)
    assert.truthy(errors[1].message:find("broken receiver", 1, true))
    timer.advance(200)
    reply(200, "[]", 7)
    assert.same({ 2, "over" }, { calls, errors[2] })
  end)
end)
