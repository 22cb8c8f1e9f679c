require("spec.support.core")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")
local loop_watch = require("appmgr.node.loop_watch")

describe("the watch of the loop", function()
  local timer, log, loop, watch

  before_each(function()
    timer, log = fake_timer.new(), fake_log.new()
    loop = {
      on_slow = function(limit_ms, fn) loop.limit_ms, loop.fn = limit_ms, fn end,
      longest_ms = function() return 75.5 end,
    }
    watch = loop_watch.start({ loop = loop, timer = timer, log = log })
  end)

  it("says which turn was slow, once a minute, and counts them all", function()
    loop.fn(loop.limit_ms)
    loop.fn(75)
    assert.equal(1, log.count("did one thing for 50 ms"))
    assert.equal(0, log.count("for 75 ms"))
    timer.advance(60000)
    loop.fn(60)
    assert.equal(1, log.count("did one thing for 60 ms: what else it has to do waited so long; 3 turns over 50 ms"))
    assert.same({ longest_ms = 75.5, slow_turns = 3, slow_ms = 50 }, watch:status())
  end)

  it("ends", function()
    watch:stop()
    assert.is_nil(loop.fn)
  end)
end)
