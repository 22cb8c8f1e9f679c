--- `appmgr app restart`: stop and start applications once.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr app restart NAME...
Stop and start applications of this node once, replicas of tasks too, and wait until they run again.

What gave up, or waits for its next start, is started now.

  --json           for programs]]

local function run(context, arguments)
  return change.one_by_one(context, arguments, "app.restart", function(result)
    return ('application "%s" runs again as pid %d'):format(result.name, result.pid)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
