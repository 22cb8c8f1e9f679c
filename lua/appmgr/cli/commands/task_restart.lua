--- `appmgr task restart`: start all replicas of tasks anew, one after the other.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr task restart NAME...
Start all replicas of tasks anew, on all nodes, one after the other.

The next follows when the one before runs again. The task gets a new version, with another
"restarted_at" in its content. "task show" shows how far it has come.

  --json           for programs]]

local function run(context, arguments)
  return change.one_by_one(context, arguments, "task.restart", function(result)
    if result.outcome == "unchanged" then return ('task "%s" was restarted in this second already'):format(result.name) end
    return ('task "%s": its replicas are started anew, one after the other; "appmgr task show %s" follows it'):format(
      result.name, result.name)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
