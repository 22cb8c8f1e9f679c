--- The cluster as a table of tasks and nodes, worked out in this process (see cluster_feeds.lua, own_planner.lua).

local feeds = require("appmgr.cli.cluster_feeds")
local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")
local own_planner = require("appmgr.cli.own_planner")

local M = {}

--- Who leads, as Consul says; agents that are no candidates do not watch it.
-- @tparam table context of the command line
-- @treturn[1] string|boolean the node's name, false when nobody leads
-- @treturn[2] nil
-- @treturn[2] string why it cannot be said
function M.leader(context)
  local answers, err = feeds.read(context, { { key = "leader" } })
  if not answers then return nil, err end
  local listing = answers[1].status == 200 and json.decode(answers[1].body) or {}
  local entry = listing[1]
  if not entry or not entry.Session or not entry.Value then return false end
  local value = context.core.codec.base64_decode(entry.Value) or ""
  local name = json.decode(value)
  return type(name) == "string" and name or value
end

--- Those of an agent's problems that concern every node: a store that was swapped, a policy that fails.
local CONCERNS_ALL <const> = {
  ["cluster"] = true, ["cluster/read"] = true, ["cluster/plan/frozen"] = true, ["cluster/plan/outcome"] = true,
}

local function cluster_warnings(problems)
  local list = {}
  for _, problem in ipairs(problems) do
    if CONCERNS_ALL[problem.key] then list[#list + 1] = problem.text end
  end
  return list
end

--- What `status` says of an agent that works with Consul.
-- @tparam table context
-- @treturn[1] table
-- @treturn[2] nil
-- @treturn[2] string why there is no cluster to look at
function M.status(context)
  local status, err = context:call("status")
  if not status then return nil, err end
  if status.cluster.consul then return status end
  return nil, ('node "%s" works without Consul: it knows no tasks and no other nodes; "appmgr app ls" lists what runs here')
    :format(status.node)
end

--- Makes the report.
-- @tparam table context of the command line
-- @treturn[1] table {tasks=, nodes=, problems=} as the planner says, `leader` (false when there is none), and
--   `warnings`, what this agent has to say of the cluster
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(context)
  local status, err = M.status(context)
  if not status then return nil, err end
  local leader, leader_error = M.leader(context)
  if leader == nil then return nil, leader_error end
  local policy, policy_error = feeds.policy(context)
  local list, collect_error = feeds.collect(context)
  if not list then return nil, collect_error end
  local messages = { feeds.configure(context, status, policy, policy_error) }
  feeds.append(list, messages)
  messages[#messages + 1] = frame.encode({ type = "report", now = os.time(), placement = status.placement })
  local report, planner_error = own_planner.ask(context.core, messages, "report")
  if not report then
    -- A policy that hangs must not hide what runs where.
    messages[1] = feeds.configure(context, status, nil, planner_error)
    report, planner_error = own_planner.ask(context.core, messages, "report")
  end
  if not report then return nil, planner_error end
  return {
    tasks = report.tasks, nodes = report.nodes, problems = report.problems, leader = leader,
    warnings = cluster_warnings(status.problems),
  }
end

--- What stands below a table: who decides, and what keeps the cluster from being decided on.
-- @tparam table report from `read`
-- @treturn string
function M.footer(report)
  local lines = { report.leader and "leader: " .. report.leader
    or "nobody leads at the moment: what runs goes on, nothing is placed until an agent is elected" }
  table.move(report.warnings, 1, #report.warnings, 2, lines)
  return "\n" .. table.concat(lines, "\n")
end

return M
