local Failing = require("appmgr.node.failing")
local Problems = require("appmgr.problems")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("tasks that keep failing on a node", function()
  local timer, failing, changes, problems

  before_each(function()
    timer, changes = fake_timer.new(), 0
    problems = Problems.new({ log = fake_log.new(), now = function() return 0 end })
    failing = Failing.new({
      timer = timer, now = function() return 1000 + timer.now_ms() // 1000 end, problems = problems,
      on_change = function() changes = changes + 1 end,
    })
  end)

  local function fail(task, times, seconds_apart)
    for _ = 1, times do
      failing:failed(task)
      timer.advance((seconds_apart or 1) * 1000)
    end
  end

  it("are those with five failures in five minutes", function()
    fail("web", 4)
    assert.is_nil(failing:list())
    fail("db", 1)
    fail("web", 1)
    assert.same({ web = 1600 + timer.now_ms() // 1000 - 1 }, failing:list())
    assert.equal(1, changes)
    assert.truthy(problems:list()[1].text:find('task "web" failed 5 times within 5 minutes here', 1, true))
  end)

  it("are not those that fail now and then", function()
    fail("web", 50, 75)
    assert.is_nil(failing:list())
  end)

  it("are avoided for ten minutes after the last five failures", function()
    fail("web", 5, 0)
    timer.advance(599000)
    assert.truthy(failing:list())
    fail("web", 5, 0)
    assert.equal(1, changes)
    timer.advance(599000)
    assert.truthy(failing:list())
    timer.advance(1000)
    assert.is_nil(failing:list())
    assert.equal(2, changes)
    assert.same({}, problems:list())
  end)

  it("leave no timer behind at the end", function()
    fail("web", 5)
    failing:stop()
    assert.equal(0, timer.pending())
  end)
end)
