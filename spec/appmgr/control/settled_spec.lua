require("spec.support.core")
local fake_request = require("spec.support.fake_request")
local fake_timer = require("spec.support.fake_timer")
local settled = require("appmgr.control.settled")

describe("a method that needs to know what runs", function()
  local timer, agent, handler

  before_each(function()
    timer = fake_timer.new()
    agent = { apps = { is_known = function(self) return self.known end } }
    handler = settled.new(timer)(function(_, request) request:reply(agent.apps.known and "known" or "not known") end)
  end)

  local function ask()
    local request = fake_request.new()
    handler(agent, request)
    return request
  end

  it("answers at once where it is known", function()
    agent.apps.known = true
    assert.equal("known", ask().result)
    assert.equal(0, timer.pending())
  end)

  it("waits for an agent that has just started", function()
    local request = ask()
    timer.advance(1000)
    assert.is_false(request.closed)
    agent.apps.known = true
    timer.advance(20)
    assert.equal("known", request.result)
    assert.equal(0, timer.pending())
  end)

  it("does not wait for ever", function()
    local request = ask()
    timer.advance(3000)
    assert.equal("not known", request.result)
    assert.equal(0, timer.pending())
  end)

  it("ends with a client that goes away", function()
    local request = ask()
    request.disconnect()
    agent.apps.known = true
    timer.advance(20)
    assert.is_nil(request.result)
    assert.equal(0, timer.pending())
  end)
end)
