local Fence = require("appmgr.leader.fence")

describe("the fence of a leader", function()
  local now, fence

  before_each(function()
    now = 1700000000.5
    fence = Fence.new({ session = { id = function() return "s" end }, node = "alpha", now = function() return now end })
  end)

  local function flags_of(operations) return operations[2].flags end

  it("costs nothing while nothing is on its way", function()
    assert.is_nil(fence:operations())
  end)

  it("is moved by who holds the key, and by nobody else, until that is written", function()
    fence:doubt()
    local operations, doubts = fence:operations()
    assert.same({
      { verb = "check-session", key = "leader", session = "s" },
      { verb = "lock", key = "leader", value = '"alpha"', session = "s", flags = 1700000000500 },
    }, operations)
    assert.truthy(fence:operations())
    fence:settle(doubts)
    assert.is_nil(fence:operations())
  end)

  it("is moved again for what went on its way meanwhile", function()
    fence:doubt()
    local _, doubts = fence:operations()
    fence:doubt()
    fence:settle(doubts)
    assert.truthy(fence:operations())
  end)

  it("is never where it was, whatever becomes of the clock", function()
    fence:doubt()
    local first = flags_of(fence:operations())
    now = now - 1000
    local second = flags_of(fence:operations())
    assert.is_true(second > first)
  end)
end)
