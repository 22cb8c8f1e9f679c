local Usage = require("appmgr.node.usage")
local fake_timer = require("spec.support.fake_timer")

describe("what applications use", function()
  local timer, usage, apps, answers, asked, turns, above_us

  before_each(function()
    timer, answers, asked, turns = fake_timer.new(), {}, nil, 1
    usage = Usage.new({ timer = timer, survey = { cgroup_cpu_us = function() return above_us end, begin = function(trees)
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
    apps.a.pid, asked = nil, nil
    measure()
    assert.is_nil(asked)
    apps.a.pid = 12
    usage:changed(apps.a)
    assert.is_nil(apps.a.memory)
    assert.is_nil(apps.a.cpu)
    measure() -- gone before it was looked at
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

  describe("in cgroups below one", function()
    local used

    --- Looks again ten seconds later, after the applications have used so many microseconds.
    local function look(used_us)
      timer.advance(10000)
      for pid, us in pairs(used_us) do used[pid], above_us = used[pid] + us, above_us + us end
      for pid, us in pairs(used) do
        local before = usage.before and usage.before[pid]
        answers[pid] = before == us and { is_unchanged = true, cpu_us = us } or { memory_bytes = us, cpu_us = us }
      end
      usage.before = table.move(used, 1, 12, 1, {})
      asked = nil
      for _, app in pairs(apps) do usage:changed(app) end
      local done = false
      usage:measure(apps, function() done = true end, "/above")
      assert.is_true(done)
    end

    local function pids_asked()
      local list = {}
      for _, tree in ipairs(asked or {}) do list[#list + 1] = tree.pid end
      table.sort(list)
      return list
    end

    before_each(function()
      apps = { a = { pid = 10, cgroup = "/above/a" }, b = { pid = 11, cgroup = "/above/b" }, c = { pid = 12, cgroup = "/above/c" } }
      used, above_us = { [10] = 500, [11] = 600, [12] = 700 }, 5000
      look({})
      assert.same({ 10, 11, 12 }, pids_asked())
      assert.is_nil(apps.a.cpu)
    end)

    it("is not asked for again while nothing has run", function()
      look({})
      assert.is_nil(asked)
      assert.equal(500, apps.a.memory)
      assert.equal(0, apps.a.cpu)
    end)

    it("is asked for again once something has run", function()
      look({})
      look({ [11] = 1000000 })
      assert.same({ 10, 11, 12 }, pids_asked())
      assert.equal(1000600, apps.b.memory)
      assert.equal(10, apps.b.cpu) -- of the last ten seconds alone
      assert.equal(0, apps.a.cpu)
    end)

    it("is asked of those alone that run", function()
      look({ [11] = 1000000 })
      look({ [11] = 2000000 })
      assert.same({ 11 }, pids_asked())
      assert.equal(20, apps.b.cpu)
      look({ [11] = 2000000, [12] = 500 })
      assert.same({ 11 }, pids_asked())
      look({ [11] = 2000000, [12] = 500 }) -- by now it is worth a look
      assert.same({ 10, 12 }, pids_asked())
      assert.equal(1700, apps.c.memory)
      look({})
      assert.same({ 11, 12 }, pids_asked())
    end)

    it("is asked of a new process too", function()
      look({})
      apps.a.pid, used[10], used[13] = 13, nil, 0
      look({ [13] = 4000 })
      assert.same({ 13 }, pids_asked())
      assert.equal(4000, apps.a.memory)
    end)

    it("counts once what a run before used in the same cgroup", function()
      look({ [10] = 8000 })
      apps.a.pid, used[10], used[13] = 13, nil, used[10]
      look({ [13] = 100, [11] = 2000 })
      assert.same({ 11, 12 }, pids_asked())
    end)

    it("is asked of all where nobody knows what all have used", function()
      above_us = 0
      usage.survey.cgroup_cpu_us = function() return nil end
      look({})
      assert.same({ 10, 11, 12 }, pids_asked())
    end)
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
