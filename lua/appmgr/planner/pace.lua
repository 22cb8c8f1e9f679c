--- The pace: how many replicas may be told to start in one second. What is too many starts in a later one.
local M = {}

local Pace = {}
Pace.__index = Pace

--- @treturn Pace that has started nothing
function M.new()
  return setmetatable({ second = nil, started = 0 }, Pace)
end

--- How many may start now.
-- @tparam integer now unix s
-- @tparam integer rate starts a second
-- @treturn integer
function Pace:left(now, rate)
  if self.second ~= now then self.second, self.started = now, 0 end
  return math.max(0, rate - self.started)
end

--- So many were told to start in the second that `left` was asked about.
-- @tparam integer count
function Pace:take(count)
  self.started = self.started + count
end

return M
