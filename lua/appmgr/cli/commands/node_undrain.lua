--- `appmgr node undrain`: let a node have replicas again.

local node_change = require("appmgr.cli.node_change")

local TEXT = [[
appmgr node undrain NODE
Let a node that is being drained have replicas again. What went elsewhere stays there.

  --json           for programs]]

local function run(context, arguments)
  return node_change.run(context, arguments, { drain = false }, "%s is not drained any more",
    "%s unchanged: it is not being drained")
end

return { text = TEXT, speaks_to_agent = true, run = run }
