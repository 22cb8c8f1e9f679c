require("spec.support.core")
local fake_timer = require("spec.support.fake_timer")
local phase = require("appmgr.phase")

describe("a phase", function()
  local timer, thing, heard

  before_each(function()
    timer, heard = fake_timer.new(), {}
    thing = { timer = timer }
    phase.enter(thing, "first")
  end)

  local function hear(word)
    return function() heard[#heard + 1] = word end
  end

  it("drops the answers of the one before, also of one of the same name", function()
    local answer = phase.current(thing, hear("early"))
    answer()
    phase.enter(thing, "first")
    answer()
    assert.same({ "early" }, heard)
    assert.equal("first", thing.phase)
  end)

  it("calls off what is under way when it ends", function()
    thing.request = { cancel = hear("called off") }
    phase.after(thing, 10, hear("waited"))
    phase.enter(thing, "second")
    timer.advance(10)
    assert.same({ "called off" }, heard)
    assert.same({ nil, nil, "second" }, { thing.request, thing.wait, thing.phase })
    assert.equal(0, timer.pending())
  end)

  it("has one wait at a time", function()
    phase.after(thing, 10, hear("first"))
    phase.after(thing, 20, function(self)
      assert.equal(thing, self)
      assert.is_nil(self.wait)
      heard[#heard + 1] = "second"
    end)
    timer.advance(20)
    assert.same({ "second" }, heard)
  end)
end)
