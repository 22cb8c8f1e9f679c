local Problems = require("appmgr.problems")
local clock = require("appmgr.clock")
local fake_log = require("spec.support.fake_log")

describe("problems", function()
  local log, problems, now

  before_each(function()
    log, now = fake_log.new(), 100
    problems = Problems.new({ log = log, now = function() return now end })
  end)

  it("are told once, again when the text changes, and when they are over", function()
    assert.is_true(problems:set("a", "disk full"))
    assert.is_false(problems:set("a", "disk full"))
    assert.is_true(problems:set("a", "disk gone"))
    assert.is_true(problems:clear("a"))
    assert.is_false(problems:clear("a"))
    assert.same({ "WARN disk full", "WARN disk gone", "INFO over: disk gone" }, log.lines)
  end)

  it("that come and go are told as such once, and end when they stay away", function()
    for _ = 1, 20 do
      problems:set("a", "cut")
      problems:clear("a")
      now = now + 1
    end
    assert.same({
      "WARN cut", "INFO over: cut", "WARN cut (it comes and goes; not every change is logged)",
    }, log.lines)
    assert.same({}, problems:list())
    now = now + 60
    problems:set("b", "else")
    assert.same({ "INFO over: cut", "WARN else" }, table.move(log.lines, 4, #log.lines, 1, {}))
    problems:set("a", "cut")
    assert.equal("WARN cut", log.lines[6])
  end)

  it("are listed oldest first, and keep the moment they began", function()
    problems:set("b", "one")
    now = 200
    problems:set("a", "two")
    problems:set("b", "three")
    assert.same({ { key = "b", text = "three", since = 100 }, { key = "a", text = "two", since = 200 } }, problems:list())
  end)

  it("are ended by prefix, except those that stay", function()
    problems:set("x/1", "1")
    problems:set("x/2", "2")
    problems:set("y", "3")
    problems:clear_prefix("x/", { ["x/2"] = true })
    local list = problems:list()
    assert.equal(2, #list)
    assert.equal("x/2", list[1].key)
  end)
end)

describe("the clock", function()
  it("writes local time as the status keys do", function()
    assert.equal(os.date("%Y-%m-%d %H:%M:%S", 1600000000), clock.text(1600000000.9))
    assert.matches("^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$", clock.text(clock.now()))
  end)
end)
