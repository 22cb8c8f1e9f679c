local Usage = require("appmgr.node.usage")
local fake_timer = require("spec.support.fake_timer")

describe("what applications use", function()
  local timer, usage, apps, answers, asked, turns

  before_each(function()
    timer, answers, asked, turns = fake_timer.new(), {}, nil, 1
    usage = Usage.new({ timer = timer, survey = { begin = function(trees)
      asked = trees
      local left = turns
      return { step = function(_, budget_ms)
        assert.is_true(budget_ms <= 10)
        left = left - 1
        if left > 0 then return nil end
        local found = {}
        for index, tree in ipairs(trees) do found[index] = answers[tree.pid] or false end
        return found
      end }
    end } })
    apps = { a = { pid = 10 } }
  end)

  local function measure()
    local done = 0
    usage:measure(apps, function() done = done + 1 end)
    return done
  end

  it("is memory at once, and processor time from the second look on", function()
    answers[10] = { memory_bytes = 4096, cpu_us = 5000000 }
    assert.equal(1, measure())
    assert.equal(4096, apps.a.memory)
    assert.is_nil(apps.a.cpu)
    timer.advance(10000)
    answers[10] = { memory_bytes = 8192, cpu_us = 6234000 }
    measure()
    assert.equal(8192, apps.a.memory)
    assert.equal(12.3, apps.a.cpu)
    assert.equal(5000000, asked[1].cpu_us)
  end)

  it("keeps the memory of what used no time", function()
    answers[10] = { memory_bytes = 4096, cpu_us = 50 }
    measure()
    timer.advance(10000)
    answers[10] = { is_unchanged = true, cpu_us = 50 }
    measure()
    assert.equal(4096, apps.a.memory)
    assert.equal(0, apps.a.cpu)
  end)

  it("begins anew with another process", function()
    answers[10] = { memory_bytes = 4096, cpu_us = 50 }
    measure()
    apps.a.pid = 11
    answers[11] = { memory_bytes = 1, cpu_us = 9000000 }
    timer.advance(10000)
    measure()
    assert.is_nil(asked[1].cpu_us)
    assert.is_nil(apps.a.cpu)
    assert.equal(1, apps.a.memory)
  end)

  it("is nothing for what does not run, and never negative", function()
    answers[10] = { memory_bytes = 4096, cpu_us = 50 }
    measure()
    timer.advance(1000)
    answers[10].cpu_us = 40 -- a process of it ended whose time nobody took
    measure()
    assert.equal(0, apps.a.cpu)
    apps.a.pid = nil
    measure()
    assert.same({}, asked)
    assert.same({}, apps.a)
    apps.a.pid = 12 -- gone before it was looked at
    measure()
    assert.same({ pid = 12 }, apps.a)
  end)

  it("is found out over several turns, once for all who ask", function()
    turns = 3
    answers[10] = { memory_bytes = 4096, cpu_us = 50 }
    local done = 0
    local function callback() done = done + 1 end
    usage:measure(apps, callback)
    usage:measure(apps, callback)
    timer.advance(1)
    assert.equal(0, done)
    timer.advance(1)
    assert.equal(2, done)
    assert.equal(4096, apps.a.memory)
  end)

  it("says nothing of an application that became another process meanwhile", function()
    turns = 2
    answers[10] = { memory_bytes = 4096, cpu_us = 50 }
    usage:measure(apps, function() end)
    apps.a.pid = 13
    timer.advance(1)
    assert.is_nil(apps.a.memory)
  end)

  it("stops when it is told to", function()
    turns = 2
    local done = measure()
    usage:stop()
    timer.advance(100)
    assert.equal(0, done)
    assert.is_nil(apps.a.memory)
  end)
end)
