--- Time zones as POSIX writes them: `CET-1CEST,M3.5.0,M10.5.0/3`.
--
-- Read as glibc reads them: hours count west of Greenwich (`UTC-8` is east), a
-- summer time without rules changes as in the United States, the hour of a change
-- may be from -167 to 167. What glibc would silently take for UTC is refused.
local calendar = require("appmgr.when.calendar")

local M = {}

local HOUR <const> = 3600
--- What glibc assumes for a summer time without rules.
local DEFAULT_RULES <const> = ",M3.2.0,M11.1.0"

local function take_name(text)
  local name, rest = text:match("^<([A-Za-z0-9+-]+)>(.*)$")
  if not name then name, rest = text:match("^(%a+)(.*)$") end
  if not name or #name < 3 then return nil end
  return name, rest
end

--- Takes `[+-]hh[:mm[:ss]]`.
-- @treturn ?integer seconds, nil when there is none or it is too large
local function take_time(text, most_hours)
  local sign, hours, rest = text:match("^([+-]?)(%d%d?%d?)(.*)$")
  if not hours then return nil end
  local minutes, seconds = "0", "0"
  local part, after = rest:match("^:(%d%d?)(.*)$")
  if part then
    minutes, rest = part, after
    part, after = rest:match("^:(%d%d?)(.*)$")
    if part then seconds, rest = part, after end
  end
  hours, minutes, seconds = tonumber(hours), tonumber(minutes), tonumber(seconds)
  if hours > most_hours or minutes > 59 or seconds > 59 then return nil end
  local total = hours * HOUR + minutes * 60 + seconds
  return sign == "-" and -total or total, rest
end

-- The day of the year on which a rule applies, as days since 1970-01-01.
local function month_rule(month, week, weekday)
  return function(year)
    local first = calendar.day(year, month, 1)
    local day = (weekday - calendar.weekday(first)) % 7 + (week - 1) * 7
    while day >= calendar.days_in(year, month) do day = day - 7 end
    return first + day
  end
end

local function julian_rule(day) -- 1 to 365; 29 February is never counted
  return function(year)
    local leap = calendar.is_leap(year) and day >= 60 and 1 or 0
    return calendar.day(year, 1, 1) + day - 1 + leap
  end
end

local function zero_rule(day)
  return function(year) return calendar.day(year, 1, 1) + day end
end

local function take_day(text)
  local month, week, weekday, rest = text:match("^M(%d%d?)%.(%d)%.(%d)(.*)$")
  if month then
    month, week, weekday = tonumber(month), tonumber(week), tonumber(weekday)
    if month < 1 or month > 12 or week < 1 or week > 5 or weekday > 6 then return nil end
    return month_rule(month, week, weekday), rest
  end
  local julian, number, after = text:match("^(J?)(%d%d?%d?)(.*)$")
  number = tonumber(number)
  if not number or number > 365 or (julian == "J" and number < 1) then return nil end
  return (julian == "J" and julian_rule or zero_rule)(number), after
end

--- Takes `,day[/time]`.
-- @treturn ?function year → local time of the change
local function take_rule(text)
  if text:sub(1, 1) ~= "," then return nil end
  local day, rest = take_day(text:sub(2))
  if not day then return nil end
  local time = 2 * HOUR
  if rest:sub(1, 1) == "/" then
    time, rest = take_time(rest:sub(2), 167)
    if not time then return nil end
  end
  return function(year) return day(year) * calendar.DAY + time end, rest
end

local function take_summer(text, standard)
  local name, rest = take_name(text)
  if not name then return nil end
  local summer, after = take_time(rest, 24)
  if summer then rest = after else summer = standard - HOUR end
  local begins, ends
  begins, rest = take_rule(rest == "" and DEFAULT_RULES or rest)
  if begins then ends, rest = take_rule(rest) end
  if not ends or rest ~= "" then return nil end
  return { offset = -summer, begins = begins, ends = ends }
end

--- Whether summer time is in force.
local function is_summer(summer, standard, moment)
  local year = calendar.date((moment + standard) // calendar.DAY)
  -- Each change is told by the clock that it ends.
  local begins, ends = summer.begins(year) - standard, summer.ends(year) - summer.offset
  if begins < ends then return moment >= begins and moment < ends end
  return moment >= begins or moment < ends
end

--- Reads a zone.
-- @tparam string text
-- @treturn[1] function(moment: unix s) → seconds that its clocks are ahead of UTC
-- @treturn[2] nil when it is no POSIX time zone (it may be a name, see when/zone.lua)
function M.read(text)
  local name, rest = take_name(text)
  if not name then return nil end
  local west, after = take_time(rest, 24)
  if not west then return nil end
  local standard = -west
  if after == "" then
    return function() return standard end
  end
  local summer = take_summer(after, west)
  if not summer then return nil end
  return function(moment)
    return is_summer(summer, standard, moment) and summer.offset or standard
  end
end

return M
