--- Whether a node may hold replicas of a task, as far as neither its load nor
-- where other replicas are plays a part: the rules that no policy can bend.
--
-- Answers are reasons, `{ code, args }`; their text is made in reasons.lua.
local permits = require("appmgr.permits")

local M = {}

local DRAIN = { code = "drain" }
local INELIGIBLE = { code = "ineligible" }
local UNREADABLE = { code = "unreadable" }
local STRANGER = { code = "stranger" }
local GONE = { code = "gone" }
local NO_TASKS = { code = "no_tasks" }
local LOCAL_NAME = { code = "local_name" }

--- Why a replica that is on a node may not stay there.
-- @tparam Job job `name`, `task`, `kind`
-- @tparam table node
-- @treturn ?table the reason; nil when it may stay
function M.must_leave(job, node)
  -- One that is away for a moment keeps what it has, and so does one that cannot be understood or follows another leader.
  if node.gone then return nil end
  if node.drain then return DRAIN end
  if node.error or node.stranger then return nil end
  if node.local_names[job.name] then return LOCAL_NAME end
  return node.permits and permits.refusal(node.permits, job.task.application) or job.kind.constraint.check(node)
end

--- Why a node gets nothing at all.
-- @tparam table node
-- @treturn ?table the reason; nil when it may get something
function M.rejects_all(node)
  if node.stranger then return STRANGER end
  if node.gone then return GONE end
  if node.drain then return DRAIN end
  if node.error then return UNREADABLE end
  if not node.eligible then return INELIGIBLE end
  if node.permits and not node.permits.enabled then return NO_TASKS end
  return nil
end

--- Why a node gets nothing of a kind, whichever task it is.
-- @tparam Kind kind
-- @tparam table node
-- @treturn ?table the reason; nil when it may get some
function M.rejects_kind(kind, node)
  return M.rejects_all(node) or kind.constraint.check(node)
end

--- Why a node gets nothing of one task in particular.
-- @tparam Job job `name`, `task`
-- @tparam table node
-- @treturn ?table the reason; nil when it may get some
function M.rejects_task(job, node)
  if node.local_names[job.name] then return LOCAL_NAME end
  if node.avoid and node.avoid[job.name] then
    return { code = "avoided", args = { until_time = node.avoid[job.name] } }
  end
  return permits.refusal(node.permits, job.task.application)
end

return M
