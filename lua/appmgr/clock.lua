--- Wall-clock time, in the one text form that every document uses.
--
-- Nothing is scheduled by this clock: deadlines and leases use core.timer.
local M = {}

--- The time now.
-- @treturn integer unix time in seconds
function M.now()
  return os.time()
end

--- A time as the status keys show it: local, `YYYY-MM-DD HH:MM:SS`.
-- @tparam number unix_s unix time in seconds; a fraction is cut off
-- @treturn string
function M.text(unix_s)
  return os.date("%Y-%m-%d %H:%M:%S", math.floor(unix_s))
end

return M
