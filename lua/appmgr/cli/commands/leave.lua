--- `appmgr leave`: this node gives up its slots and goes.

local TEXT = [[
appmgr leave
Take this node out of the cluster: stop its applications and end its agent.

Its replicas move to other nodes. A restart of the agent (SIGTERM) stops and moves nothing;
this is for a node that is to be without appmgr.

  --json           for programs]]

local function run(context, arguments)
  if not arguments.json then context:warn("stopping the applications of this node …") end
  local result, err = context:call("leave")
  if result == nil then return context:fail(err) end
  if arguments.json then
    context:print_json(result)
  else
    context:print("this node has left: its applications are stopped, its agent ends")
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
