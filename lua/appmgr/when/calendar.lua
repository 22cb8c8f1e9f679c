--- Days and dates, without time zones.
--
-- A "local time" here is the number of seconds a clock on the wall is past
-- 1970-01-01 00:00:00: it has neither a zone nor summer time, so adding to it
-- is adding on the calendar. when/zone.lua turns it into a moment.
local M = {}

M.DAY = 86400

--- The day of a date.
-- @tparam integer year
-- @tparam integer month 1 to 12
-- @tparam integer day 1 to 31
-- @treturn integer days since 1970-01-01
function M.day(year, month, day)
  -- Years begin in March here, so that the leap day is the last one.
  local y = month <= 2 and year - 1 or year
  local era, m = y // 400, (month + 9) % 12
  local year_of_era = y - era * 400
  local day_of_year = (153 * m + 2) // 5 + day - 1
  return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719468
end

--- The date of a day.
-- @tparam integer days since 1970-01-01
-- @treturn integer year
-- @treturn integer month
-- @treturn integer day
function M.date(days)
  local z = days + 719468
  local era = z // 146097
  local day_of_era = z - era * 146097
  local year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36524 - day_of_era // 146096) // 365
  local day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
  local m = (5 * day_of_year + 2) // 153
  local month = (m + 2) % 12 + 1
  local year = year_of_era + era * 400 + (month <= 2 and 1 or 0)
  return year, month, day_of_year - (153 * m + 2) // 5 + 1
end

--- @tparam integer days since 1970-01-01
-- @treturn integer 0 (Sunday) to 6
function M.weekday(days)
  return (days + 4) % 7
end

--- @tparam integer year
-- @treturn boolean
function M.is_leap(year)
  return year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0)
end

local LENGTHS <const> = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

--- @tparam integer year
-- @tparam integer month
-- @treturn integer how many days it has
function M.days_in(year, month)
  return month == 2 and M.is_leap(year) and 29 or LENGTHS[month]
end

--- Reads a time of day.
-- @param value `HH:MM:SS`
-- @treturn[1] integer seconds since midnight
-- @treturn[2] nil
function M.read_time(value)
  local hour, minute, second = tostring(value):match("^(%d%d):(%d%d):(%d%d)$")
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
  if type(value) ~= "string" or not hour or hour > 23 or minute > 59 or second > 59 then return nil end
  return hour * 3600 + minute * 60 + second
end

--- Reads a date with a time.
-- @param value `YYYY-MM-DD HH:MM:SS`
-- @treturn[1] integer local time
-- @treturn[2] nil
function M.read_moment(value)
  if type(value) ~= "string" then return nil end
  local year, month, day, time = value:match("^(%d%d%d%d)-(%d%d)-(%d%d) (%d%d:%d%d:%d%d)$")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  local seconds = time and M.read_time(time)
  if not seconds or month < 1 or month > 12 or day < 1 or day > M.days_in(year, month) then return nil end
  return M.day(year, month, day) * M.DAY + seconds
end

return M
