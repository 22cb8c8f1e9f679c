--- Times in the five fields of cron: minute, hour, day of the month, month, day of the week.
--
-- As in Vixie's cron: when both days are restricted, either is enough. A name of
-- an hour is a time of the day and happens once a day, also when the clock is
-- moved; where every hour is meant it is a rhythm, and goes on through the change.
local calendar = require("appmgr.when.calendar")

local M = {}

local Cron = {}
Cron.__index = Cron

local MONTHS <const> = { "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC" }
local WEEKDAYS <const> = { [0] = "SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN" }

local FIELDS <const> = {
  { key = "minute", what = "minute", low = 0, high = 59 },
  { key = "hour", what = "hour", low = 0, high = 23 },
  { key = "day", what = "day of the month", low = 1, high = 31 },
  { key = "month", what = "month", low = 1, high = 12, names = MONTHS },
  { key = "weekday", what = "day of the week", low = 0, high = 7, names = WEEKDAYS },
}

local SHORTHANDS <const> = {
  ["@yearly"] = "0 0 1 1 *", ["@annually"] = "0 0 1 1 *", ["@monthly"] = "0 0 1 * *", ["@weekly"] = "0 0 * * 0",
  ["@daily"] = "0 0 * * *", ["@midnight"] = "0 0 * * *", ["@hourly"] = "0 * * * *",
}

--- How far it is looked ahead: the 29th of February is at most eight years away.
local HORIZON_DAYS <const> = 9 * 366
local MINUTE <const> = 60

local function number_of(field, word)
  local number = word:find("^%d%d?$") and tonumber(word)
  if number then return number >= field.low and number <= field.high and number or nil end
  for value, name in pairs(field.names or {}) do
    if name == word:upper() and value <= 12 and (field.key ~= "weekday" or value < 7) then return value end
  end
  return nil
end

--- First and last of `*`, `a` or `a-b`.
local function read_range(field, text)
  if text == "*" then return field.low, field.key == "weekday" and 6 or field.high end
  local from, to = text:match("^(%w+)%-(%w+)$")
  local low, high = number_of(field, from or text), number_of(field, to or text)
  -- A week may end with its Sunday: FRI-SUN.
  if field.key == "weekday" and to and high == 0 then high = 7 end
  return low, high
end

local function add_item(field, set, item)
  local range, step = item:match("^([^/]+)/(%d+)$")
  local low, high = read_range(field, range or item)
  step = tonumber(step or 1)
  if not low or not high then
    local names = field.names and (" or %s to %s"):format(field.names[1], field.names[#field.names]) or ""
    return ('"%s" is no %s: numbers from %d to %d%s, lists, ranges and steps are'):format(item, field.what, field.low,
      field.high, names)
  end
  if low > high then return ('the range "%s" of the %s ends before it begins'):format(item, field.what) end
  if step < 1 then return ('the step of "%s" must be at least 1'):format(item) end
  if range and low == high and not range:find("-", 1, true) then
    return ('"%s": a step needs "*" or a range before it'):format(item)
  end
  for value = low, high, step do set[field.key == "weekday" and value % 7 or value] = true end
end

local function read_field(field, text)
  local set = {}
  for item in (text .. ","):gmatch("([^,]*),") do
    local reason = add_item(field, set, item)
    if reason then return nil, reason end
  end
  return set
end

local function sorted(set, low, high)
  local list = {}
  for value = low, high do
    if set[value] then list[#list + 1] = value end
  end
  return list
end

--- Whether its days exist: a 30th of February does not.
local function has_days(cron)
  if not cron.any_weekday then return true end
  for month in pairs(cron.month) do
    for day in pairs(cron.day) do
      if day <= calendar.days_in(2000, month) then return true end
    end
  end
  return false
end

--- Reads an expression.
-- @param text any value
-- @treturn[1] Cron
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(text)
  if type(text) ~= "string" then return nil, "must be a string of five fields, as in crontab(5)" end
  local words = {}
  for word in (SHORTHANDS[text:lower()] or text):gmatch("%S+") do words[#words + 1] = word end
  if words[1] and words[1]:sub(1, 1) == "@" then
    return nil, ('"%s" is not known; there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually')
      :format(text)
  end
  if #words ~= #FIELDS then
    return nil, ("must have five fields (minute, hour, day of the month, month, day of the week), not %d"):format(#words)
  end
  local cron = setmetatable({ any_day = words[3]:sub(1, 1) == "*", any_weekday = words[5]:sub(1, 1) == "*" }, Cron)
  for index, field in ipairs(FIELDS) do
    local set, reason = read_field(field, words[index])
    if not set then return nil, reason end
    cron[field.key] = set
  end
  cron.minutes, cron.hours = sorted(cron.minute, 0, 59), sorted(cron.hour, 0, 23)
  if not has_days(cron) then return nil, "names only days that no month has" end
  return cron
end

local function is_day(self, days)
  local _, month, day = calendar.date(days)
  if not self.month[month] then return false end
  local by_day, by_weekday = self.day[day], self.weekday[calendar.weekday(days)]
  if self.any_day or self.any_weekday then return by_day and by_weekday end
  return by_day or by_weekday
end

--- The first time of a day that is not before `seconds`.
local function time_from(self, seconds)
  for _, hour in ipairs(self.hours) do
    if (hour + 1) * 3600 > seconds then
      for _, minute in ipairs(self.minutes) do
        local time = hour * 3600 + minute * MINUTE
        if time >= seconds then return time end
      end
    end
  end
  return nil
end

--- The first matching local time that is not before another.
-- @tparam integer wall local time
-- @treturn ?integer local time; nil when there is none within nine years
function Cron:from(wall)
  local first = wall // calendar.DAY
  for day = first, first + HORIZON_DAYS do
    local time = is_day(self, day) and time_from(self, day == first and wall % calendar.DAY or 0)
    if time then return day * calendar.DAY + time end
  end
  return nil
end

--- The next moment of a rhythm: it is counted by the clock that runs, whatever was skipped or comes again.
local function next_of_rhythm(self, after, zone)
  local from = math.floor(after) + 1
  while true do
    local offset = zone.offset_at(from)
    local wall = self:from(from + offset)
    if not wall then return nil end
    local moment = wall - offset
    if moment - from > 2 * calendar.DAY then
      from = moment - calendar.DAY -- nothing is nearer, by whatever clock
    else
      from = zone:change(from, moment)
      if not from then return moment end
    end
  end
end

--- The next moment of times of the day: each happens once, at the first moment that stands for it.
local function next_of_day(self, after, zone)
  local wall = zone:wall(after)
  wall = wall + -wall % MINUTE
  while true do
    wall = self:from(wall)
    local moment = wall and zone:moment(wall)
    if not moment or moment > after then return moment end
    wall = wall + MINUTE
  end
end

--- The next moment after another.
-- @tparam number after unix s
-- @tparam Zone zone
-- @treturn ?integer unix s; nil when there is none within nine years
function Cron:next(after, zone)
  return (#self.hours == 24 and next_of_rhythm or next_of_day)(self, after, zone)
end

--- Whether any of its times of the day lies in a window.
-- @tparam function contains seconds since midnight → boolean
-- @treturn boolean
function Cron:meets(contains)
  for _, hour in ipairs(self.hours) do
    for _, minute in ipairs(self.minutes) do
      if contains(hour * 3600 + minute * MINUTE) then return true end
    end
  end
  return false
end

return M
