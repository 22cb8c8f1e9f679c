--- `appmgr leave`: this node gives up its slots and goes.

local change = require("appmgr.cli.change")
local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr leave
Take this node out of the cluster: stop its applications and end its agent.

Its replicas move to other nodes. A restart of the agent (SIGTERM) stops and moves nothing;
this is for a node that is to be without appmgr.

  --json           for programs]]

local function run(context, arguments)
  if not arguments.json then context:warn("stopping the applications of this node …") end
  local result, err = context:call("leave", {}, change.wait_long)
  if result == nil then return context:fail(err) end
  if arguments.json then
    context:print_json(result)
  else
    context:print(('node "%s" has left: %s stopped, its agent ends'):format(result.node,
      grid.count(result.stopped, "application")))
    if result.warning then context:warn(result.warning) end
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
