local Zone = require("appmgr.when.zone")
local calendar = require("appmgr.when.calendar")

local function read(path)
  local file, err = io.open(path, "rb")
  if not file then return nil, err end
  local bytes = file:read("a")
  file:close()
  return bytes
end

local function open(text)
  return assert(Zone.open(text, read))
end

local BERLIN <const> = "CET-1CEST,M3.5.0,M10.5.0/3"

--- The offsets that glibc has at moments, by date(1).
local function offsets_of_glibc(zone, moments)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  for _, moment in ipairs(moments) do file:write("@", moment, "\n") end
  file:close()
  local pipe, list = assert(io.popen(("TZ='%s' date -f %s +%%:::z"):format(zone, path))), {}
  for line in pipe:lines() do
    local sign, hours, minutes = line:match("^([+-])(%d+):?(%d*)")
    local offset = tonumber(hours) * 3600 + (tonumber(minutes) or 0) * 60
    list[#list + 1] = sign == "-" and -offset or offset
  end
  pipe:close()
  os.remove(path)
  return list
end

--- Moments from 2007 to 2049, among them the hours in which Europe's and America's clocks move.
local function moments()
  local list = {}
  for i = 1, 300 do list[i] = 1170000000 + i * 4390123 end
  for year = 2007, 2030 do
    for _, month in ipairs({ 3, 4, 9, 10, 11 }) do
      for hour = 0, 23 do
        list[#list + 1] = calendar.day(year, month, 31 - (calendar.weekday(calendar.day(year, month, 31)))) * 86400
          + hour * 3600
      end
    end
  end
  return list
end

describe("a date", function()
  it("is its day again, in leap years, too", function()
    for day = -800000, 800000, 97 do
      local year, month, date = calendar.date(day)
      assert.equal(day, calendar.day(year, month, date))
    end
    assert.same({ 2000, 2, 29 }, { calendar.date(calendar.day(2000, 3, 1) - 1) })
    assert.same({ 1900, 2, 28 }, { calendar.date(calendar.day(1900, 3, 1) - 1) })
    assert.equal(4, calendar.weekday(0))
  end)

  it("is read strictly", function()
    assert.equal(1579038530, calendar.read_moment("2020-01-14 21:48:50"))
    for _, text in ipairs({ "2020-02-30 00:00:00", "2021-02-29 00:00:00", "2020-01-01", "2020-1-1 00:00:00",
      "2020-01-01 24:00:00", "2020-01-01T00:00:00", "2020-13-01 00:00:00", "" }) do
      assert.is_nil(calendar.read_moment(text), text)
    end
    assert.is_nil(calendar.read_moment(5))
    assert.is_nil(calendar.read_time("1:00:00"))
    assert.is_nil(calendar.read_time("00:60:00"))
  end)
end)

describe("a time zone", function()
  for _, text in ipairs({ BERLIN, "UTC0", "<+0330>-3:30", "NZST-12NZDT,M9.5.0,M4.1.0/3", "IST-1GMT0,M10.5.0,M3.5.0/1",
    "AAA3BBB,J60/2,J300/2", "AAA3BBB,59/2,299/-2", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0" }) do
    it(("%s is read as glibc reads it"):format(text), function()
      local zone, list = open(text), moments()
      for index, offset in ipairs(offsets_of_glibc(text, list)) do
        assert.equal(offset, zone.offset_at(list[index]), ("%s at %d"):format(text, list[index]))
      end
    end)
  end

  for _, name in ipairs({ "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata",
    "Africa/Casablanca", ":Etc/GMT+5" }) do
    it(("%s is found in the tz database"):format(name), function()
      if not read("/usr/share/zoneinfo/UTC") then return pending("tzdata is not installed") end
      local zone, list = open(name), moments()
      for index, offset in ipairs(offsets_of_glibc(name, list)) do
        assert.equal(offset, zone.offset_at(list[index]), ("%s at %d"):format(name, list[index]))
      end
    end)
  end

  it("with a summer time without rules changes as in the United States", function()
    local short, long = open("XXX-2YYY"), open("XXX-2YYY-3,M3.2.0/2,M11.1.0/2:00:00")
    for _, moment in ipairs(moments()) do assert.equal(long.offset_at(moment), short.offset_at(moment)) end
  end)

  it("that is none is refused, and says why", function()
    for _, text in ipairs({ "", "CET-25", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/3x",
      "CET-1CEST,J0,J300", "UTC+99", "../../etc/passwd", "a b" }) do
      assert.is_false(Zone.is_name(text), text)
    end
    local zone, err = Zone.open("Europe/Nowhere", function(path) return nil, path .. ": No such file" end)
    assert.is_nil(zone)
    assert.equal('this node knows no time zone "Europe/Nowhere" (/usr/share/zoneinfo/Europe/Nowhere: No such file);'
      .. " install tzdata or write it as a POSIX time zone", err)
    zone, err = Zone.open("Europe/Broken", function() return "TZif2" .. ("\0"):rep(20) end)
    assert.is_nil(zone)
    assert.truthy(err:find("no time zone file", 1, true))
  end)

  it("of the process itself is that of TZ, else of the machine, else UTC", function()
    local asked
    local function look(path)
      asked = path
      return nil, "none"
    end
    assert.equal(3600, Zone.own("CET-1", look).offset_at(0))
    assert.equal(0, Zone.own(nil, look).offset_at(0))
    assert.equal("/etc/localtime", asked)
    Zone.own(":/x/y", look)
    assert.equal("/x/y", asked)
    assert.equal(0, Zone.own("", look).offset_at(0))
  end)

  it("knows the moment of a time, of one that is skipped and of one that comes twice", function()
    local zone = open(BERLIN)
    local function moment(text) return zone:moment(calendar.read_moment(text)) end
    local spring, autumn = 1774746000, 1792890000 -- 2026-03-29 and 2026-10-25, 01:00 UTC
    assert.equal(spring - 1, (moment("2026-03-29 01:59:59")))
    assert.equal(spring, (moment("2026-03-29 02:30:00")))
    assert.equal(spring, (moment("2026-03-29 03:00:00")))
    assert.same({ autumn - 1800, autumn + 1800 }, { moment("2026-10-25 02:30:00") })
    assert.same({ autumn + 3600 }, { moment("2026-10-25 03:00:00") })
    assert.equal(calendar.read_moment("2026-03-29 03:00:00"), zone:wall(spring + 0.9))
  end)
end)
