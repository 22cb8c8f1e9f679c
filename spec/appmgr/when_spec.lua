local When = require("appmgr.when")
local Zone = require("appmgr.when.zone")
local application = require("appmgr.application")
local calendar = require("appmgr.when.calendar")

local BERLIN <const> = "CET-1CEST,M3.5.0,M10.5.0/3"

local function plan_of(fields)
  fields.command = "x"
  local app, findings = application.read(fields)
  assert(app, findings.errors[1])
  return app.when
end

local function when_of(fields, zone)
  return When.new(plan_of(fields), Zone.own(zone or "UTC0"))
end

local function at(text, zone)
  return (Zone.own(zone or "UTC0"):moment(calendar.read_moment(text)))
end

--- Local times of the next `count` times.
local function next_times(when, from, count, anchor)
  local list, moment = {}, from
  for i = 1, count do
    moment = when:next(moment, anchor)
    if not moment then break end
    local wall = when.zone:wall(moment)
    list[i] = ("%02d %02d:%02d:%02d"):format(select(3, calendar.date(wall // 86400)), wall % 86400 // 3600,
      wall % 3600 // 60, wall % 60)
  end
  return list
end

describe("the fields that say when", function()
  local function errors_of(fields)
    fields.command = "x"
    local app, findings = application.read(fields)
    assert.is_nil(app)
    return table.concat(findings.errors, "\n")
  end

  it("mean nothing when they are absent", function()
    assert.is_nil(plan_of({}))
    assert.is_nil(plan_of({ keep_running = false }))
  end)

  it("tell three kinds apart", function()
    assert.equal("long", plan_of({ start_time = "2026-01-01 00:00:00" }).kind)
    assert.equal("long", plan_of({ daily_limitation = { daily_start = "09:00:00", daily_end = "17:00:00" } }).kind)
    assert.equal("short", plan_of({ start_interval_seconds = 300 }).kind)
    assert.equal("short", plan_of({ schedule = "@daily", keep_running = false }).kind)
    assert.equal("periodic", plan_of({ schedule = "@daily", keep_running = true }).kind)
  end)

  it("are refused with their name and the reason", function()
    local wrong = {
      { { start_time = "14.1.2020" }, 'start_time: must be a local time "YYYY-MM-DD HH:MM:SS"' },
      { { start_interval_seconds = 0 }, "start_interval_seconds: must be a whole number from 1" },
      { { start_interval_seconds = 5, start_interval_timeout = -1 }, "start_interval_timeout: must be a number from 0" },
      { { keep_running = 1 }, "keep_running: must be true or false" },
      { { schedule = "61 * * * *" }, 'schedule: "61" is no minute' },
      { { posix_timezone = "CET-1CEST,M3", schedule = "@daily" }, "posix_timezone: must be a POSIX time zone" },
      { { daily_limitation = "x" }, "daily_limitation: must be an object" },
      { { daily_limitation = { daily_start = "09:00:00" } }, "daily_limitation: daily_end must be a time of the day" },
      { { daily_limitation = { daily_start = "9:00", daily_end = "17:00:00" } }, "daily_limitation: daily_start must" },
      { { daily_limitation = { daily_start = "09:00:00", daily_end = "09:00:00" } }, "are the same" },
      { { daily_limitation = { daily_start = "09:00:00", daily_end = "10:00:00", x = 1 } }, 'not "x"' },
      { { schedule = "@daily", start_interval_seconds = 5 }, "schedule: start_interval_seconds says when, too" },
      { { keep_running = true }, "keep_running: says" },
      { { start_interval_timeout = 3 }, "start_interval_timeout: is a time to wait" },
      { { schedule = "@daily", restart = {} }, "restart: a short run is not restarted" },
      { { posix_timezone = "UTC0" }, "posix_timezone: there is no time" },
      { { schedule = "0 3 * * *", daily_limitation = { daily_start = "09:00:00", daily_end = "17:00:00" } },
        "schedule: none of its times lies within daily_limitation" },
    }
    for _, case in ipairs(wrong) do
      local text = errors_of(case[1])
      assert.truthy(text:find(case[2], 1, true), text)
    end
  end)

  it("do not make another process of it", function()
    local core = require("spec.support.core")
    local function hash(fields)
      fields.command = "x"
      return application.process_hash(application.read(fields), core.json, core.codec)
    end
    assert.equal(hash({}), hash({ schedule = "@daily" }))
  end)
end)

describe("the next time", function()
  it("of an interval is counted from start_time", function()
    local when = when_of({ start_time = "2020-01-14 21:38:50", start_interval_seconds = 300 })
    assert.same({ "04 16:03:50", "04 16:08:50" }, next_times(when, at("2020-02-04 16:01:58"), 2))
    assert.same({ "14 21:38:50", "14 21:43:50" }, next_times(when, at("2020-01-14 00:00:00"), 2))
    assert.equal(at("2020-01-14 21:43:50"), when:next(at("2020-01-14 21:38:50")))
    assert.is_false(when:needs_anchor())
  end)

  it("of an interval without start_time is counted from when it was first seen", function()
    local when = when_of({ start_interval_seconds = 7 })
    assert.is_true(when:needs_anchor())
    assert.equal(1000, when:next(999, 1000))
    assert.equal(1007, when:next(1000, 1000))
    assert.equal(1014, when:next(1013.5, 1000))
  end)

  it("of an interval is so many seconds away, whatever the clock is moved by", function()
    local when = when_of({ start_time = "2026-03-29 00:30:00", start_interval_seconds = 3600 }, BERLIN)
    assert.same({ "29 00:30:00", "29 01:30:00", "29 03:30:00" }, next_times(when, at("2026-03-28 12:00:00"), 3))
  end)

  it("of a schedule is not before start_time", function()
    local when = when_of({ schedule = "0 * * * *", start_time = "2026-11-23 12:00:00" })
    assert.same({ "23 12:00:00", "23 13:00:00" }, next_times(when, at("2026-11-20 00:00:00"), 2))
  end)

  it("lies within daily_limitation", function()
    local night = { daily_start = "22:00:00", daily_end = "00:30:00" }
    local when = when_of({ schedule = "*/30 * * * *", daily_limitation = night })
    assert.same({ "23 22:00:00", "23 22:30:00", "23 23:00:00", "23 23:30:00", "24 00:00:00", "24 22:00:00" },
      next_times(when, at("2026-11-23 12:00:00"), 6))
    when = when_of({ start_interval_seconds = 40000, start_time = "2026-11-23 00:00:00", daily_limitation = night })
    assert.same({ "23 22:13:20", "29 00:26:40", "29 22:40:00" }, { table.unpack(next_times(when,
      at("2026-11-23 00:00:01"), 3)) })
  end)

  it("is none when no time ever lies within it", function()
    local when = when_of({
      start_interval_seconds = 86400, start_time = "2026-01-01 03:00:00",
      daily_limitation = { daily_start = "09:00:00", daily_end = "17:00:00" },
    })
    assert.is_nil(when:next(at("2026-11-23 00:00:00")))
  end)

  it("of what simply runs is when it may again", function()
    local when = when_of({ daily_limitation = { daily_start = "09:00:00", daily_end = "17:00:00" } })
    assert.same({ "23 09:00:00", "24 09:00:00" }, next_times(when, at("2026-11-23 00:00:00"), 2))
    when = when_of({ start_time = "2026-11-23 12:00:00" })
    assert.same({ "23 12:00:00" }, next_times(when, at("2026-11-23 00:00:00"), 2))
  end)
end)

describe("the time in which an application may run", function()
  local function opens_and_closes(when, moment)
    local opens, closes = when:open(moment)
    return { opens, closes }
  end

  it("is a part of each day, over midnight, too", function()
    local night = when_of({ daily_limitation = { daily_start = "22:00:00", daily_end = "06:00:00" } })
    local evening, morning = at("2026-11-23 22:00:00"), at("2026-11-24 06:00:00")
    assert.same({ evening, morning }, opens_and_closes(night, at("2026-11-23 12:00:00")))
    assert.same({ evening, morning }, opens_and_closes(night, evening))
    assert.same({ evening, morning }, opens_and_closes(night, morning - 0.001))
    assert.same({ evening + 86400, morning + 86400 }, opens_and_closes(night, morning))
    assert.is_true(night:is_open(at("2026-11-24 00:00:00")))
    assert.is_false(night:is_open(morning))
  end)

  it("begins with start_time", function()
    local when = when_of({ start_time = "2026-11-23 12:00:00",
      daily_limitation = { daily_start = "09:00:00", daily_end = "17:00:00" } })
    assert.same({ at("2026-11-23 12:00:00"), at("2026-11-23 17:00:00") },
      opens_and_closes(when, at("2026-11-20 10:00:00")))
    assert.same({ at("2026-11-24 09:00:00"), at("2026-11-24 17:00:00") },
      opens_and_closes(when, at("2026-11-23 20:00:00")))
  end)

  it("opens once and closes once on the days on which the clock is moved", function()
    local function hours(from, to, day)
      local when = when_of({ daily_limitation = { daily_start = from, daily_end = to } }, BERLIN)
      local opens, closes = when:open(at(day .. " 00:00:00", BERLIN))
      assert.is_true(opens == closes or when:is_open((opens + closes) / 2))
      return (closes - opens) / 3600
    end
    assert.equal(3.5, hours("02:30:00", "06:00:00", "2026-03-27"))
    assert.equal(3, hours("02:30:00", "06:00:00", "2026-03-29"))
    assert.equal(4.5, hours("02:30:00", "06:00:00", "2026-10-25"))
    assert.equal(1, hours("01:30:00", "02:30:00", "2026-10-25"))
    -- The whole of it is skipped: it is the next day's that opens.
    local when = when_of({ daily_limitation = { daily_start = "02:10:00", daily_end = "02:50:00" } }, BERLIN)
    assert.equal(at("2026-03-30 02:10:00", BERLIN), (when:open(at("2026-03-29 00:00:00", BERLIN))))
  end)
end)
