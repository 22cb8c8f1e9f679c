--- `appmgr node eligible`: let a node have new replicas.

local node_change = require("appmgr.cli.node_change")

local TEXT = [[
appmgr node eligible NODE
Let a node have new replicas again.

  --json           for programs]]

local function run(context, arguments)
  return node_change.run(context, arguments, { eligible = true }, "%s may have new replicas",
    "%s unchanged: it may have new replicas already")
end

return { text = TEXT, speaks_to_agent = true, run = run }
