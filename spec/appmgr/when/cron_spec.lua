local Cron = require("appmgr.when.cron")
local Zone = require("appmgr.when.zone")
local calendar = require("appmgr.when.calendar")

local UTC = Zone.own("UTC0")
local BERLIN = Zone.own("CET-1CEST,M3.5.0,M10.5.0/3")
local HALF_HOUR = Zone.own("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0") -- Lord Howe's clock moves by 30 minutes

--- The next `count` times after `from`, as `UTC offset` and local time.
local function times(text, from, count, zone)
  zone = zone or UTC
  local cron, list = assert(Cron.read(text)), {}
  local moment = zone:moment(calendar.read_moment(from))
  for i = 1, count do
    moment = assert(cron:next(moment, zone))
    local wall = zone:wall(moment)
    local year, month, day = calendar.date(wall // 86400)
    list[i] = ("%04d-%02d-%02d %02d:%02d%s"):format(year, month, day, wall % 86400 // 3600, wall % 3600 // 60,
      zone ~= UTC and ("%+d"):format((wall - moment) // 60) or "")
  end
  return list
end

describe("a cron expression", function()
  it("knows lists, ranges, steps and names", function()
    assert.same({ "2026-11-23 00:05", "2026-11-23 00:35", "2026-11-23 00:40" },
      times("5,35-40/5 * * * *", "2026-11-23 00:00:00", 3))
    assert.same({ "2026-11-23 09:00", "2026-11-23 13:00", "2026-11-23 17:00", "2026-11-24 09:00" },
      times("0 9-17/4 * nov MON-fri", "2026-11-22 00:00:00", 4))
    assert.same({ "2026-11-27 00:00", "2026-11-28 00:00", "2026-11-29 00:00", "2026-12-04 00:00" },
      times("0 0 * * FRI-SUN", "2026-11-23 00:00:00", 4))
    assert.same({ "2026-11-29 12:00", "2026-12-06 12:00" }, times("0 12 * * 7", "2026-11-23 00:00:00", 2))
    assert.same({ "2028-02-29 00:00", "2032-02-29 00:00" }, times("0 0 29 2 *", "2026-11-23 00:00:00", 2))
  end)

  it("knows shorthands", function()
    assert.same({ "2026-11-23 01:00" }, times("@hourly", "2026-11-23 00:00:00", 1))
    assert.same({ "2026-11-24 00:00" }, times("@daily", "2026-11-23 00:00:00", 1))
    assert.same({ "2026-11-29 00:00" }, times("@weekly", "2026-11-23 00:00:00", 1))
    assert.same({ "2026-12-01 00:00" }, times("@Monthly", "2026-11-23 00:00:00", 1))
    assert.same({ "2027-01-01 00:00" }, times("@yearly", "2026-11-23 00:00:00", 1))
  end)

  it("takes either day when both are restricted, and both when one is not", function()
    assert.same({ "2026-12-01 00:00", "2026-12-04 00:00", "2026-12-11 00:00" },
      times("0 0 1 * FRI", "2026-11-27 00:00:00", 3))
    assert.same({ "2026-11-27 00:00" }, times("0 0 */2 * FRI", "2026-11-21 00:00:00", 1))
  end)

  it("never gives the moment it is asked after", function()
    assert.same({ "2026-11-23 00:01" }, times("* * * * *", "2026-11-23 00:00:00", 1))
    local cron = assert(Cron.read("* * * * *"))
    assert.equal(1600000020, cron:next(1600000019.999, UTC))
    assert.equal(1600000080, cron:next(1600000020, UTC))
    assert.equal(1600000080, cron:next(1600000020.5, UTC))
  end)

  it("names what is wrong with it", function()
    local wrong = {
      ["* * * *"] = "five fields", ["60 * * * *"] = '"60" is no minute: numbers from 0 to 59', ["* 24 * * *"] = "no hour",
      ["* * 0 * *"] = "no day of the month", ["* * * foo *"] = '"foo" is no month: numbers from 1 to 12 or JAN to DEC',
      ["* * * * 8"] = "no day of the week", ["5/10 * * * *"] = 'a step needs "*" or a range', ["*/0 * * * *"] = "at least 1",
      ["10-5 * * * *"] = "ends before it begins", ["1,,2 * * * *"] = '"" is no minute', ["0 0 30 2 *"] = "no month has",
      ["@reboot"] = '"@reboot" is not known', [""] = "five fields", ["-1 * * * *"] = "no minute", ["* * L * *"] = '"L" is no',
    }
    for text, reason in pairs(wrong) do
      local cron, err = Cron.read(text)
      assert.is_nil(cron, text)
      assert.truthy(err:find(reason, 1, true), text .. ": " .. err)
    end
    assert.truthy(select(2, Cron.read(5)):find("must be a string", 1, true))
  end)

  describe("when the clock is moved", function()
    it("happens once at a time of the day that is skipped: at the moment of the change", function()
      assert.same({ "2026-03-28 02:30+60", "2026-03-29 03:00+120", "2026-03-30 02:30+120" },
        times("30 2 * * *", "2026-03-28 00:00:00", 3, BERLIN))
      assert.same({ "2026-03-29 03:00+120", "2026-03-30 02:15+120" },
        times("15,30,45 2 * * *", "2026-03-29 00:00:00", 2, BERLIN))
      assert.same({ "2026-03-29 03:00+120", "2026-03-30 02:00+120" },
        times("0 2,3 * * *", "2026-03-29 00:00:00", 2, BERLIN))
    end)

    it("happens once at a time of the day that comes twice: the first time", function()
      assert.same({ "2026-10-24 02:30+120", "2026-10-25 02:30+120", "2026-10-26 02:30+60" },
        times("30 2 * * *", "2026-10-24 00:00:00", 3, BERLIN))
      assert.same({ "2026-10-25 02:00+120", "2026-10-25 03:00+60" },
        times("0 1-23 * * *", "2026-10-25 01:30:00", 2, BERLIN))
    end)

    it("goes on with every hour through the change", function()
      assert.same({ "2026-03-29 01:30+60", "2026-03-29 03:00+120", "2026-03-29 03:30+120" },
        times("*/30 * * * *", "2026-03-29 01:00:00", 3, BERLIN))
      assert.same({ "2026-10-25 02:30+120", "2026-10-25 02:00+60", "2026-10-25 02:30+60", "2026-10-25 03:00+60" },
        times("*/30 * * * *", "2026-10-25 02:00:00", 4, BERLIN))
      assert.same({ "2026-04-05 01:30+660", "2026-04-05 01:30+630", "2026-04-05 02:30+630" },
        times("30 * * * *", "2026-04-05 01:00:00", 3, HALF_HOUR))
    end)

    it("is found in either manner the same, however far it is", function()
      assert.same({ "2027-01-01 00:30+60", "2027-01-01 01:30+60" }, times("30 * 1 1 *", "2026-03-01 00:00:00", 2, BERLIN))
    end)
  end)
end)
