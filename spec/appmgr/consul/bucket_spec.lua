local bucket = require("appmgr.consul.bucket")
local fake_timer = require("spec.support.fake_timer")

describe("a token bucket", function()
  local timer, tokens

  before_each(function()
    timer = fake_timer.new()
    tokens = bucket.new({ timer = timer, burst = 2, per_ms = 0.001 })
  end)

  it("is full at first and may be overdrawn", function()
    assert.equal(0, tokens:wait_ms(2))
    tokens:take(3)
    assert.equal(1000, tokens:wait_ms(0))
    assert.equal(2000, tokens:wait_ms(1))
  end)

  it("fills with time, up to its burst", function()
    tokens:take(2)
    timer.advance(500)
    assert.equal(500, tokens:wait_ms(1))
    timer.advance(100000)
    assert.equal(0, tokens:wait_ms(2))
    assert.equal(1000, tokens:wait_ms(3))
  end)
end)
