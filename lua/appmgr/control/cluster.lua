--- Methods for a store that was wiped, restored or swapped: which side is right?

local store = require("appmgr.control.store")

local M = {}

local function answer(request)
  return function(result, err)
    if err then return request:fail("failed", store.text(err)) end
    request:reply(result)
  end
end

--- cluster.accept {} → {cluster=id, …}: the store is right, its cluster id becomes this cluster's.
function M.accept(agent, request)
  if store.is_missing(agent, request) then return end
  agent.cluster:accept(answer(request))
end

--- cluster.restore {plan=true} → the plan; {apply=plan} → what was written.
function M.restore(agent, request)
  if store.is_missing(agent, request) then return end
  local plan = request.params.apply
  if type(plan) == "table" then return agent.cluster:restore(plan, answer(request)) end
  agent.cluster:restore_plan(answer(request))
end

return M
