--- A policy under watch: before it is asked about a task, whoever waits is told which, so that what ends this process
-- has a name; and one that fails slowly is not asked for ever.
local M = {}

--- So much time of the processor may go into questions that failed.
local MAX_WASTED_S <const> = 5

--- @tparam Policy policy
-- @tparam function tell (name of the task)
-- @tparam function clock → s of processor time
-- @treturn Policy that asks the one given
function M.policy(policy, tell, clock)
  local watched, wasted_s = setmetatable({}, { __index = policy }), 0
  function watched.run(_, task, fn, limits, ...)
    if wasted_s >= MAX_WASTED_S then return "timeout", "not asked: it took too long for other tasks" end
    tell(task)
    local began = clock()
    local outcome, answer, traceback = policy:run(task, fn, limits, ...)
    if outcome ~= "ok" then wasted_s = wasted_s + clock() - began end
    return outcome, answer, traceback
  end
  return watched
end

return M
