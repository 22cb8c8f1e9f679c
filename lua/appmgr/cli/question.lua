--- A question to a planner of this process about the cluster as it is.

local cluster_report = require("appmgr.cli.cluster_report")
local feeds = require("appmgr.cli.cluster_feeds")
local frame = require("appmgr.planner.frame")
local own_planner = require("appmgr.cli.own_planner")

local M = {}

--- Asks.
-- @tparam table context of the command line
-- @tparam table header of the message; `now`, `known_cluster` and `placement` are added
-- @tparam string wanted the type of the answer
-- @tparam[opt] table options `policy` ({name, source}: another one than that in use), `timeout_ms` (see own_planner)
-- @treturn[1] table the answer
-- @treturn[1] table what the method `status` said
-- @treturn[2] nil
-- @treturn[2] string why there is none
function M.ask(context, header, wanted, options)
  options = options or {}
  local status, err = cluster_report.status(context)
  if not status then return nil, err end
  local policy, policy_error = options.policy, nil
  if not policy then policy, policy_error = feeds.policy(context) end
  if not policy then return nil, policy_error end
  local list, collect_error = feeds.collect(context)
  if not list then return nil, collect_error end
  local messages = { feeds.configure(context, status, policy) }
  feeds.append(list, messages)
  header.now, header.known_cluster, header.placement = os.time(), status.cluster.id, status.placement
  messages[#messages + 1] = frame.encode(header)
  local answer, planner_error = own_planner.ask(context.core, messages, wanted,
    { needs_policy = true, timeout_ms = options.timeout_ms })
  if not answer then return nil, planner_error end
  return answer, status
end

return M
