--- `appmgr task enable`: let the replicas of tasks run.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr task enable NAME...
Let tasks run that were disabled.

Sets "status" of the task's content to 1.

  --json           for programs]]

local function run(context, arguments)
  return change.one_by_one(context, arguments, "task.enable", function(result)
    return result.outcome == "unchanged" and ('task "%s" is enabled already'):format(result.name)
      or ('task "%s" enabled'):format(result.name)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
