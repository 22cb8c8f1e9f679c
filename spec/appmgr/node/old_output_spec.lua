local OldOutput = require("appmgr.node.old_output")
local Turns = require("appmgr.turns")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

local DAY <const> = 86400

describe("old output", function()
  local file, timer, log, known, old, now

  before_each(function()
    file, timer, log, known, now = fake_file.new(), fake_timer.new(), fake_log.new(), { web = true }, 100 * DAY
    old = OldOutput.new({
      file = file, timer = timer, log = log, now = function() return now end, log_dir = "/log",
      names = function() return known end,
      turns = Turns.new({ defer = function(fn) fn() end, now_ms = function() return 0 end }),
    })
  end)

  local function put(name, age_days)
    file.texts["/log/" .. name], file.times["/log/" .. name] = "x", now - age_days * DAY
  end

  it("of an application that is gone is removed after a week, file by file", function()
    for _, name in ipairs({ "gone.log", "gone.log.1", "gone.log.1.index", "gone#2.log" }) do put(name, 8) end
    put("gone.log.index", 6)
    put("web.log", 30)
    put("web.log.1", 30)
    put("notes.txt", 30)
    timer.advance(60000)
    assert.same({ "gone.log.index", "notes.txt", "web.log", "web.log.1" }, file.list("/log"))
    assert.equal(1, log.count("removed: /log/gone#2.log"))
    now = now + 2 * DAY
    timer.advance(3600000)
    assert.same({ "notes.txt", "web.log", "web.log.1" }, file.list("/log"))
  end)

  it("stays while nobody knows what belongs to this node", function()
    put("gone.log", 30)
    known = nil
    timer.advance(2 * 3600000)
    assert.same({ "gone.log" }, file.list("/log"))
    old:stop()
    assert.equal(0, timer.pending())
  end)
end)
