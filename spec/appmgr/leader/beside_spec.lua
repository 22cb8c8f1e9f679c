local Beside = require("appmgr.leader.beside")
local fake_planner = require("spec.support.fake_planner")
local fake_timer = require("spec.support.fake_timer")

describe("a planner beside the one in use", function()
  local planner, timer, beside, heard, failure

  before_each(function()
    planner, timer, heard, failure = fake_planner.new(), fake_timer.new(), {}, nil
    beside = assert(Beside.start({ planner = planner, timer = timer, node = "alpha", prefix = "appmgr" },
      { name = "mine", source = "return {}", options = { weight = 2 }, hash = "h" }, {
        follows = true,
        on_fail = function(reason)
          assert.is_nil(failure)
          failure = reason
        end,
        on_message = {
          configured = function() heard[#heard + 1] = "configured" end,
          trial = function(header) heard[#heard + 1] = header.error end,
        },
      }))
  end)

  it("is given its policy, and hands on what it says", function()
    local sent = planner.messages("configure")[1]
    assert.same({ "alpha", "appmgr", true, "mine", 2, "h", "return {}" }, {
      sent.header.node, sent.header.prefix, sent.header.follows, sent.header.policy.name, sent.header.policy.options.weight,
      sent.header.policy.hash, sent.body,
    })
    assert.is_false(beside.is_configured)
    planner.configured()
    assert.is_true(beside.is_configured)
    planner.say({ type = "trial", error = "no" })
    assert.same({ "configured", "no" }, heard)
    assert.is_nil(failure)
  end)

  local ENDS <const> = {
    ["the policy cannot be loaded"] = { function() planner.say({ type = "configured", ok = false, error = "bad" }) end, "bad" },
    ["it refuses a message"] = { function() planner.say({ type = "error", message = "what?" }) end, "its planner said: what?" },
    ["it says what nobody asked"] = { function() planner.say({ type = "decision" }) end, "its planner wrote nonsense: decision" },
    ["it writes garbage"] = { function() planner.last().options.on_message("x") end, "its planner wrote nonsense: a frame" },
    ["it ends"] = { function() planner.last().exit("exited with code 1") end, "its planner ended: exited with code 1" },
    ["it is late"] = { function()
      beside:expect(5, function() return "too early" end)
      beside:expect(10, function() return "late" end)
      timer.advance(9)
      assert.is_nil(failure)
      timer.advance(1)
    end, "late" },
  }
  for what, case in pairs(ENDS) do
    it("fails once, and is ended, when " .. what, function()
      case[1]()
      assert.equal(case[2], failure:sub(1, #case[2]))
      assert.is_true(planner.last().ended)
      beside:send({ type = "feed" }) -- nobody hears that
    end)
  end

  it("says nothing any more when it was stopped", function()
    beside:expect(10, function() return "late" end)
    local process = planner.last()
    beside:stop()
    timer.advance(20)
    process.options.on_message("x")
    assert.same({}, heard)
    assert.is_nil(failure)
    assert.is_true(process.killed)
  end)

  it("says why there is none", function()
    planner.broken = "no memory"
    local none, reason = Beside.start({ planner = planner, timer = timer }, { name = "x", source = "" }, {})
    assert.is_nil(none)
    assert.equal("its planner cannot be started: no memory", reason)
  end)
end)
