--- A moment in the past as people write it.
local M = {}

local SECONDS = { s = 1, m = 60, h = 3600, d = 86400 }

local HELP <const> = "10m, 2h, 3d, 30s; 14:30 or 14:30:00; 2026-11-23 14:30:00, or its date alone"

--- `10m`, `2h`, also together: `1h30m`.
local function span(text)
  local total, rest = 0, text:gsub("(%d+)([smhd])", "")
  if rest ~= "" or text == "" then return nil end
  for count, unit in text:gmatch("(%d+)([smhd])") do total = total + tonumber(count) * SECONDS[unit] end
  return total
end

local function in_range(hour, minute, second)
  return hour < 24 and minute < 60 and second < 60
end

--- Of today; of yesterday when that is still to come.
local function time_of_day(text, now)
  local hour, minute, second = text:match("^(%d%d?):(%d%d)$")
  if not hour then hour, minute, second = text:match("^(%d%d?):(%d%d):(%d%d)$") end
  if not hour then return nil end
  hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second or 0)
  if not in_range(hour, minute, second) then return nil end
  local day = os.date("*t", now)
  local function on(offset)
    return os.time({ year = day.year, month = day.month, day = day.day + offset, hour = hour, min = minute, sec = second })
  end
  local today = on(0)
  return today <= now and today or on(-1)
end

local function date(text)
  local year, month, day, rest = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)[T ]?(.*)$")
  if not year then return nil end
  local hour, minute, second = (rest == "" and "00:00:00" or rest .. (rest:match("^%d%d:%d%d$") and ":00" or ""))
    :match("^(%d%d):(%d%d):(%d%d)$")
  if not hour or not in_range(tonumber(hour), tonumber(minute), tonumber(second)) then return nil end
  local time = os.time({ year = tonumber(year), month = tonumber(month), day = tonumber(day), hour = tonumber(hour),
    min = tonumber(minute), sec = tonumber(second) })
  -- The 31st of June is no day.
  return os.date("%m-%d", time) == month .. "-" .. day and time or nil
end

--- Reads a moment.
-- @tparam string text a span before now (`10m`, `1h30m`), a local time of day (`14:30`) or a local date and time
-- @tparam integer now unix seconds
-- @treturn ?integer unix seconds
-- @treturn ?string why not
function M.read(text, now)
  local seconds = span(text)
  local moment = seconds and now - seconds or time_of_day(text, now) or date(text)
  if not moment then return nil, ('"%s" is no time; write %s'):format(text, HELP) end
  return moment
end

return M
