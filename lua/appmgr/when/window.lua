--- The hours of each day in which an application may run; they may go over midnight.
--
-- A window opens and closes at moments, one of each for a date, so that it neither
-- opens twice nor stays open when the clock is moved. One that lies wholly in the hour
-- that the clock skips does not open on that day.
local calendar = require("appmgr.when.calendar")

local M = {}

local Window = {}
Window.__index = Window

--- @tparam integer from seconds since midnight, the first that is inside
-- @tparam integer to seconds since midnight, the first that is outside again; not `from`
-- @tparam Zone zone
-- @treturn Window
function M.new(from, to, zone)
  return setmetatable({ from = from, length = (to - from) % calendar.DAY, zone = zone }, Window)
end

--- Whether a time of the day lies in a window, by the clock alone.
-- @tparam integer time seconds since midnight
-- @tparam integer from
-- @tparam integer to
-- @treturn boolean
function M.contains(time, from, to)
  if from < to then return time >= from and time < to end
  return time >= from or time < to
end

local function bounds(self, day)
  local wall = day * calendar.DAY + self.from
  return (self.zone:moment(wall)), (self.zone:moment(wall + self.length))
end

--- The window that is open at a moment, or the next one.
-- @tparam number moment unix s
-- @treturn integer when it opens, not after `moment` if it is open
-- @treturn integer when it closes, always after `moment`
function Window:at(moment)
  local day = self.zone:wall(moment) // calendar.DAY - 1
  while true do
    local opens, closes = bounds(self, day)
    if closes > moment and opens < closes then return opens, closes end
    day = day + 1
  end
end

return M
