--- The whole way from what the cluster is to where it comes to rest: each replica that starts is taken as come up, each that
-- leaves as gone, what waits for a confirmation as confirmed, and time as passing. Nodes that are gone stay gone, and keep what is
-- still theirs.
--
-- Of moves for balance it goes those that the first decision begins, and those that are under way. What would be moved after that
-- depends on what nodes show then, an interval and more away, and would be the plan of hours: it is not foretold.
local Deltas = require("appmgr.planner.deltas")
local Engine = require("appmgr.planner.engine")
local Forward = require("appmgr.planner.forward")

local M = {}

--- A rollout takes a decision for each replica.
M.MAX_DECISIONS = 2000

--- Goes it.
-- @tparam table snapshot see Model:snapshot; not changed
-- @tparam Policy policy
-- @tparam ?table limits see engine
-- @tparam[opt] table balance terms of moves for balance, see Engine:decide; nil: none begin
-- @treturn table `held` (replicas by host in the end), `steps` (how many decisions changed something), `is_whole` (nothing
--   follows; false when the policy failed or there were too many decisions), `outcome`, `outcome_message` (of the last decision)
-- @treturn Engine that decided it
function M.go(snapshot, policy, limits, balance)
  local engine = Engine.new({ policy = policy, limits = limits })
  Deltas.new(engine):feed(snapshot)
  local forward, now = Forward.new(engine, snapshot), snapshot.now
  local way = { held = forward.held, steps = 0, is_whole = false }
  local was_still = false
  for number = 1, M.MAX_DECISIONS do
    local result = engine:decide(now, nil, number == 1 and balance or nil)
    way.outcome, way.outcome_message = result.outcome, result.outcome_message
    if result.outcome ~= "ok" then break end
    local has_changed = forward:take(result)
    way.steps = way.steps + (has_changed and 1 or 0)
    -- What nodes say of a decision is looked at by the next one; only then is it time that is waited for.
    if not has_changed and was_still and not result.wake_at then
      way.is_whole = true
      break
    end
    now = not has_changed and was_still and math.max(now + 1, result.wake_at) or now + 1
    was_still = not has_changed
  end
  return way, engine
end

return M
