--- A token bucket: how often, or for how long, something may be done.
--
-- Used to keep a long poll that returns without news from becoming a busy loop,
-- and to keep the handling of frequent news under a tenth of one core. It may be
-- overdrawn: work is counted after it is done, and the debt is waited for.
local M = {}

local Bucket = {}
Bucket.__index = Bucket

--- @tparam table deps `timer` (now_ms), `burst` (what it holds at most), `per_ms` (what flows in each ms)
-- @treturn Bucket a full one
function M.new(deps)
  return setmetatable({
    timer = deps.timer, burst = deps.burst, per_ms = deps.per_ms,
    level = deps.burst, filled_ms = deps.timer.now_ms(),
  }, Bucket)
end

local function fill(self)
  local now = self.timer.now_ms()
  self.level = math.min(self.burst, self.level + (now - self.filled_ms) * self.per_ms)
  self.filled_ms = now
end

--- Takes an amount, also more than there is.
function Bucket:take(amount)
  fill(self)
  self.level = self.level - amount
end

--- How long until the amount is there.
-- @tparam number amount
-- @treturn integer ms, 0 when it is there now
function Bucket:wait_ms(amount)
  fill(self)
  if self.level >= amount then return 0 end
  return math.ceil((amount - self.level) / self.per_ms)
end

return M
