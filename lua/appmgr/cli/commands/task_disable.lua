--- `appmgr task disable`: stop the replicas of tasks.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr task disable NAME...
Stop all replicas of tasks on all nodes; their places are kept for them.

Sets "status" of the task's content to 0.

  --json           for programs]]

local function run(context, arguments)
  return change.one_by_one(context, arguments, "task.disable", function(result)
    return result.outcome == "unchanged" and ('task "%s" is disabled already'):format(result.name)
      or ('task "%s" disabled'):format(result.name)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
