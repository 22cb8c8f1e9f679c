--- Methods for a store that was wiped, restored or swapped: which side is right?

local store = require("appmgr.control.store")

local M = {}

local function answer(request)
  return function(result, err)
    if err then return request:fail("failed", store.text(err)) end
    request:reply(result)
  end
end

--- cluster.accept {} → {cluster, before}: the store is right, its cluster id becomes this cluster's.
function M.accept(agent, request)
  if store.is_missing(agent, request) then return end
  agent.cluster:accept(answer(request))
end

--- cluster.restore {} → the plan; {apply=true} → {cluster, hosts, tasks}: writes the plan that this connection
-- was shown, nothing else.
function M.restore(agent, request)
  if store.is_missing(agent, request) then return end
  local session = request.session
  if request.params.apply then
    local plan = session.restore_plan
    session.restore_plan = nil
    if not plan then return request:fail("bad_request", "ask for the plan first; what is written is what was shown") end
    return agent.cluster:restore(plan, answer(request))
  end
  agent.cluster:restore_plan(function(plan, err)
    session.restore_plan = plan
    answer(request)(plan, err)
  end)
end

return M
