--- Lengths of time as people write them on a command line.

local M = {}

local SECONDS = { [""] = 1, s = 1, m = 60, h = 3600, d = 86400 }
local LONGEST <const> = 366 * 86400

--- @tparam string text "90", "90s", "30m", "2h", "1d"
-- @treturn ?integer seconds, at least 1 and at most a year; nil when it is none
function M.seconds(text)
  local digits, unit = text:match("^(%d+)([smhd]?)$")
  local seconds = digits and #digits < 10 and tonumber(digits) * SECONDS[unit]
  if not seconds or seconds < 1 or seconds > LONGEST then return nil end
  return math.tointeger(seconds)
end

return M
