local History = require("appmgr.node.history")
local Problems = require("appmgr.problems")
local core = require("spec.support.core")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("the history of applications", function()
  local file, problems, history, timer

  local function open()
    return assert(History.open({ file = file, timer = timer, json = core.json, problems = problems, path = "/s/history" }))
  end

  before_each(function()
    file, timer = fake_file.new(), fake_timer.new()
    problems = Problems.new({ log = fake_log.new(), now = os.time })
    history = open()
  end)

  local function exit(n, changes)
    local event = { type = "exited", id = "i", pid = n, started_at = n + 0.5, at = n + 2.5, code = 1, next = "restart" }
    for key, value in pairs(changes or {}) do event[key] = value end
    history:note("i", event, 0)
  end

  it("keeps runs and failed starts in their order, across a start of the agent", function()
    exit(10)
    history:note("i", { type = "spawn_failed", error = "ENOENT: exec /x", next = "restart" }, 20)
    exit(30, { code = false, signal = 9, next = "stop" })
    local records = open():read("i", 10)
    assert.same({ pid = 10, started = 10.5, ended = 12.5, code = 1, next = "restart" }, records[1])
    assert.same({ failed = 20, error = "ENOENT: exec /x", next = "restart" }, records[2])
    assert.equal(9, records[3].signal)
    assert.equal(30, open():read("i", 1)[1].pid)
    assert.same({}, open():read("other", 10))
    assert.equal(448, file.directories["/s/history"])
  end)

  it("takes what the keeper tells twice as one run", function()
    exit(10)
    exit(11)
    exit(10)
    exit(11)
    assert.equal(2, #history:read("i", 10))
    for _ = 1, 2 do history:note("i", { type = "spawn_failed", error = "x", next = "restart" }, 20) end
    assert.equal(4, #history:read("i", 10))
  end)

  it("is bounded, and keeps the newest", function()
    for n = 1, 2000 do exit(n) end
    assert.is_true(#file.texts["/s/history/i"] <= 33 * 1024)
    local records = history:read("i", 1000)
    assert.is_true(#records >= History.KEPT)
    assert.equal(2000, records[#records].pid)
    assert.equal(1999, records[#records - 1].pid)
    history:note("i", { type = "spawn_failed", error = ("x"):rep(5000), next = "none" }, 1)
    assert.equal(200, #history:read("i", 1)[1].error)
  end)

  it("loses one record to a cut line, and none to nonsense", function()
    exit(1)
    file.texts["/s/history/i"] = file.texts["/s/history/i"] .. '\n{"pid":2,"sta'
    exit(3)
    file.texts["/s/history/i"] = file.texts["/s/history/i"] .. '\n[]\n7\n{"ended":"x"}'
    local records = history:read("i", 10)
    assert.same({ 1, 3 }, { records[1].pid, records[2].pid })
    assert.equal(2, #records)
  end)

  it("says that the disk refuses, until it does not", function()
    file.refuse["/s/history/i"] = "No space left on device"
    exit(1)
    assert.matches("No space left", problems:list()[1].text)
    file.refuse = {}
    timer.advance(60000)
    assert.same({}, problems:list())
  end)

  it("lets the keeper keep what the disk refused, and all after it, until the disk has it", function()
    local known = {}
    local function told(n, id)
      history:note(id, { type = "exited", pid = n, started_at = n, at = n + 1, code = 3 }, 0, function() known[#known + 1] = n end)
    end
    told(1, "i")
    file.refuse["/s/history/i"] = "No space left on device"
    told(2, "i")
    told(3, "j")
    told(4, nil) -- of one that is not on this node any more
    assert.same({ 1 }, known)
    assert.equal(2, history:read("i", 1)[1].pid)
    assert.equal(3, history:read("j", 10)[1].pid)
    timer.advance(60000)
    assert.same({ 1 }, known)
    file.refuse = {}
    timer.advance(60000)
    assert.same({ 1, 2, 3, 4 }, known)
    assert.same({}, problems:list())
    assert.same({ 2, 1 }, { #open():read("i", 10), #open():read("j", 10) })
    told(5, "i")
    assert.equal(5, known[5])
  end)

  it("has what was added to a file that could not be cut", function()
    for n = 1, 150 do exit(n, { ran_ms = n }) end
    file.texts["/s/history/i"] = ("\n"):rep(40000) .. file.texts["/s/history/i"]
    local replace, known = file.replace, 0
    file.replace = function(path) return nil, path .. ": No space left on device" end
    history:note("i", { type = "spawn_failed", error = "x", next = "restart" }, 20, function() known = known + 1 end)
    local size = #file.texts["/s/history/i"]
    assert.equal(1, known)
    assert.matches("grows.*No space left", problems:list()[1].text)
    timer.advance(60000)
    assert.equal(size, #file.texts["/s/history/i"])
    file.replace = replace
    exit(151)
    assert.is_true(#file.texts["/s/history/i"] < 33 * 1024)
    assert.same({}, problems:list())
  end)

  it("does not keep what was forgotten while the disk refused it", function()
    file.refuse["/s/history/i"] = "No space left on device"
    exit(1)
    history:forget("i")
    file.refuse = {}
    timer.advance(60000)
    assert.same({}, open():read("i", 10))
    assert.same({}, problems:list())
  end)

  it("forgets what is no longer on the node", function()
    exit(1)
    history:note("j", { type = "exited", pid = 2, at = 3, code = 0 }, 0)
    history:keep_only({ i = true })
    assert.same({}, history:read("j", 10))
    assert.equal(1, #history:read("i", 10))
    history:forget("i")
    assert.same({}, history:read("i", 10))
  end)
end)
