--- `appmgr node ineligible`: let a node have no new replicas.

local node_change = require("appmgr.cli.node_change")

local TEXT = [[
appmgr node ineligible NODE
Let a node have no new replicas. Those it has stay; "node drain" moves them.

  --force          also of a node that has never been there
  --json           for programs]]

local function run(context, arguments)
  return node_change.run(context, arguments, { eligible = false }, "%s gets no new replicas",
    "%s unchanged: it gets no new replicas already")
end

return { text = TEXT, speaks_to_agent = true, run = run }
