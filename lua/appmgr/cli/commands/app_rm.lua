--- `appmgr app rm`: remove applications that were added.

local change = require("appmgr.cli.change")

local TEXT = [[
appmgr app rm NAME...
Stop and forget applications that were added with "app add".

What stands in the configuration is removed there, a replica with "task rm" or "task scale".

  --json           for programs]]

local function run(context, arguments)
  return change.together(context, arguments, "app.remove", "names", arguments.name, function(result)
    return ('application "%s" removed'):format(result.name)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
