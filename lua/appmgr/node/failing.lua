--- Which tasks keep failing on this node: the leader reads it in `live/<host>` and gives the node no more of them for a while.
--
-- The node counts for itself: so nothing is read by anybody while nothing fails, and a new leader knows the same.
local M = {}

local Failing = {}
Failing.__index = Failing

--- So many failures of a task's replicas within so many seconds; then the task is avoided for so long.
M.FAILURES, M.WITHIN_S, M.AVOIDED_S = 5, 300, 600

local TOLD = 'task "%s" failed %d times within %d minutes here; this node gets no more of it for %d minutes after that. '
  .. '"appmgr app exec-history" and "appmgr app logs" tell more'

--- @tparam table deps `timer` (after, now_ms), `now` (function → unix s), `problems`, `on_change` (function(): `list` says something else)
-- @treturn Failing
function M.new(deps)
  return setmetatable({
    timer = deps.timer, now = deps.now, problems = deps.problems, on_change = deps.on_change, failures = {}, avoided = {},
  }, Failing)
end

local function forget_later(self, task)
  local known = self.avoided[task]
  if known.wait then known.wait:cancel() end
  known.wait = self.timer.after(M.AVOIDED_S * 1000, function()
    self.avoided[task] = nil
    self.problems:clear("failing/" .. task)
    self.on_change()
  end)
end

local function avoid(self, task)
  local known = self.avoided[task]
  self.avoided[task] = known or {}
  self.avoided[task].until_time = math.floor(self.now()) + M.AVOIDED_S
  self.problems:set("failing/" .. task, TOLD:format(task, M.FAILURES, M.WITHIN_S // 60, M.AVOIDED_S // 60))
  forget_later(self, task)
  -- While it goes on failing the time moves, which nobody needs to hear of at each failure.
  if not known then self.on_change() end
end

--- A replica of a task ended by a failure, or could not be started.
-- @tparam string task
function Failing:failed(task)
  local now_ms, recent = self.timer.now_ms(), {}
  for _, at_ms in ipairs(self.failures[task] or {}) do
    if at_ms > now_ms - M.WITHIN_S * 1000 then recent[#recent + 1] = at_ms end
  end
  recent[#recent + 1] = now_ms
  if #recent >= M.FAILURES then
    recent = {}
    avoid(self, task)
  end
  self.failures[task] = recent
end

--- @treturn ?table task → unix s until which it is avoided here; nil when none is
function Failing:list()
  local list
  for task, known in pairs(self.avoided) do
    list = list or {}
    list[task] = known.until_time
  end
  return list
end

--- Forgets everything; for the end.
function Failing:stop()
  for _, known in pairs(self.avoided) do known.wait:cancel() end
  self.avoided, self.failures = {}, {}
end

return M
