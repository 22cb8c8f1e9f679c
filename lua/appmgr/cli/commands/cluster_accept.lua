--- `appmgr cluster accept`: a store that looks wiped or swapped is right as it is.

local TEXT = [[
appmgr cluster accept
Declare that what stands in Consul is right, after it was wiped, restored or swapped.

All agents take over the store's cluster id and follow its tasks. Replicas that are not in it are
stopped. See "appmgr cluster restore" for the opposite.

  --json           for programs]]

local function run(context, arguments)
  local result, err = context:call("cluster.accept")
  if result == nil then return context:fail(err) end
  if arguments.json then
    context:print_json(result)
  else
    context:print(result.cluster == result.before and "nothing to accept: the store is the one this cluster knows"
      or ("accepted: the agents follow the store as it is (cluster %s)"):format(result.cluster))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
