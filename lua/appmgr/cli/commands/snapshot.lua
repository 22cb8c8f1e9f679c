--- `appmgr snapshot`: the cluster as a planner sees it, to a file.

local cluster_report = require("appmgr.cli.cluster_report")
local feeds = require("appmgr.cli.cluster_feeds")
local json = require("appmgr.json")

local TEXT = [[
appmgr snapshot
Print all that a leader decides from, as JSON.

That is Consul's own answers for tasks, nodes, assignments and statuses, and the policy in use. It
holds the "env" of applications, as Consul does.]]

local function run(context)
  local status, err = cluster_report.status(context)
  if not status then return context:fail(err) end
  local list, collect_error = feeds.collect(context)
  if not list then return context:fail(collect_error) end
  local policy, policy_error = feeds.policy(context)
  if not policy then return context:fail(policy_error) end
  context:print_json({
    snapshot = 1, taken_at = os.time(), prefix = status.cluster.prefix, cluster = status.cluster.id,
    placement = status.placement, feeds = json.array(list),
    policy = { name = policy.name, source = policy.source, options = policy.options },
  })
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
