--- `appmgr app reload`: let applications read their configuration again.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr app reload NAME...
Send applications of this node the "reload_signal" of their document; replicas of tasks too.

The signal goes to the first process and to no other. What it does is the application's to say.

  --json           for programs]]

local function run(context, arguments)
  return change.one_by_one(context, arguments, "app.reload", function(result)
    return ('application "%s" was sent signal %d'):format(result.name, result.signal)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
