--- `appmgr keeper upgrade`: the keeper of this node becomes the program that is installed now.

local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr keeper upgrade
Have the keeper run the appmgr-keeper that is installed now; applications do not notice.

The new program first proves that it can read the keeper's records; then the keeper executes it
in its place. Processes, exit codes and output are kept. One that fails the proof changes nothing.

  --json           for programs]]

local function run(context, arguments)
  local result, err = context:call("keeper.upgrade")
  if result == nil then return context:fail(err) end
  if arguments.json then
    context:print_json(result)
  else
    context:print(("the keeper runs its new program; it keeps %s"):format(grid.count(result.applications, "application")))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
