--- `appmgr app enable`: let applications run.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr app enable NAME...
Let applications of this node run that were disabled, and start what gave up.

This holds across restarts of the agent, whatever the document's "status" says, until it is disabled
or that "status" is changed. Replicas of tasks are the task's to decide.

  --json           for programs]]

local function run(context, arguments)
  return change.together(context, arguments, "app.enable", "names", arguments.name, function(result)
    return result.outcome == "unchanged" and ('application "%s" is enabled already'):format(result.name)
      or ('application "%s" enabled'):format(result.name)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
