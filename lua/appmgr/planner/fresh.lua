--- A cluster placed from nothing: what a policy would do if no replica ran yet, and how far that is from what runs.
local Deltas = require("appmgr.planner.deltas")

local M = {}

--- Decides as if no node held anything.
-- @tparam table snapshot see model.snapshot; not changed
-- @tparam Policy policy
-- @tparam ?table limits see engine
-- @treturn table see Engine:decide
-- @treturn Engine that decided it
function M.decide(snapshot, policy, limits)
  local bare = {}
  for name, value in pairs(snapshot) do bare[name] = value end
  bare.held, bare.marks, bare.unreadable = {}, {}, {}
  return Deltas.decide_once(bare, policy, { limits = limits })
end

--- The first task that a policy failed for.
-- @tparam table result of `decide`
-- @treturn ?string the task, the outcome and the message; nil when it did well for all
function M.failure(result)
  if result.outcome ~= "ok" then return ("%s: %s"):format(result.outcome, result.outcome_message) end
  for _, state in ipairs(result.states) do
    local cause = state.cause
    if cause and cause.code == "policy_failed" then
      return ('task "%s": %s: %s'):format(state.name, cause.args.outcome, cause.args.message)
    end
  end
end

local function count_by_task(by_host)
  local counts, total = {}, 0
  for host, replicas in pairs(by_host) do
    for _, replica in ipairs(replicas) do
      if not replica.leaving then
        local key = replica.task .. "\0" .. host
        counts[key] = (counts[key] or 0) + 1
        total = total + 1
      end
    end
  end
  return counts, total
end

--- How many of the replicas that are held would stand on another node. Slots of one task are interchangeable.
-- @tparam table held replicas by host, as it is
-- @tparam table desired replicas by host, as it might be
-- @treturn integer how many would be elsewhere, or nowhere
-- @treturn integer of how many
function M.elsewhere(held, desired)
  local counts, total = count_by_task(held)
  local others, moved = count_by_task(desired), 0
  for key, count in pairs(counts) do moved = moved + math.max(0, count - (others[key] or 0)) end
  return moved, total
end

return M
