require("spec.support.core")
local codec = require("core.codec")
local fake_request = require("spec.support.fake_request")
local store = require("appmgr.control.store")

--- A Consul client that answers when the spec says so.
local function client()
  local self = { waiting = {} }
  local function wait(what, callback)
    self.waiting[#self.waiting + 1] = { what = what, answer = callback }
  end
  function self.encode_transaction(operations) return "transaction of " .. #operations end
  function self.get(_, key, options, callback)
    wait(key .. (options.recurse and " recurse" or "") .. (options.keys and " keys" or ""), callback)
  end
  function self.transaction(_, body, _, callback) wait(body, callback) end
  return self
end

local function read(consul, keys)
  local request = fake_request.new({ keys = keys })
  store.new({ codec = codec }).read({ node = "alpha", client = consul }, request)
  return request
end

describe("consul.read", function()
  it("hands over Consul's bytes in the order that was asked for", function()
    local consul = client()
    local request = read(consul, { { key = "task/", recurse = true }, { key = "version/", keys = true }, { audit = true } })
    assert.equal("task/ recurse", consul.waiting[1].what)
    assert.equal("version/ keys", consul.waiting[2].what)
    assert.equal("transaction of 4", consul.waiting[3].what)
    consul.waiting[3].answer({ status = 200, body = "{}" })
    consul.waiting[2].answer({ status = 404, body = "", index = 7 })
    consul.waiting[1].answer(nil, { kind = "transport", message = "connection refused" })
    assert.same({
      { error = "connection refused" },
      { status = 404, index = 7, body_base64 = "" },
      { status = 200, body_base64 = codec.base64_encode("{}") },
    }, request.result)
  end)

  it("has a few reads under way at a time", function()
    local consul, keys = client(), {}
    for i = 1, 20 do keys[i] = { key = "status/" .. i } end
    local request = read(consul, keys)
    assert.equal(8, #consul.waiting)
    local answered = 0
    while answered < #consul.waiting do
      answered = answered + 1
      consul.waiting[answered].answer({ status = 200, body = "[]" })
    end
    assert.equal(20, #request.result)
  end)

  it("stops when its client goes away", function()
    local consul, keys = client(), {}
    for i = 1, 20 do keys[i] = { key = "status/" .. i } end
    read(consul, keys).disconnect()
    consul.waiting[1].answer({ status = 200, body = "[]" })
    assert.equal(8, #consul.waiting)
  end)

  it("refuses what is no list of reads, and an agent without Consul", function()
    for _, keys in ipairs({ {}, { 1 }, { {} }, { { key = 3 } }, { { key = "a/../b" } }, { { key = "/x" } },
      { { key = "." } }, { { key = "a//b" } } }) do
      assert.equal("bad_request", read(client(), keys).code)
    end
    assert.equal("bad_request", read(client(), nil).code)
    assert.equal("unavailable", read(nil, { { key = "x" } }).code)
  end)
end)
