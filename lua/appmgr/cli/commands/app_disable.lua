--- `appmgr app disable`: stop applications until they are enabled.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr app disable NAME...
Stop applications of this node and keep them from running.

This holds across restarts of the agent, whatever the document's "status" says, until it is enabled
or that "status" is changed. Replicas of tasks are the task's to decide.

  --json           for programs]]

local function run(context, arguments)
  return change.together(context, arguments, "app.disable", "names", arguments.name, function(result)
    return result.outcome == "unchanged" and ('application "%s" is disabled already'):format(result.name)
      or ('application "%s" disabled'):format(result.name)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
