--- Whether a node may hold replicas of a task: the rules that no policy can bend.
--
-- Answers are reasons, `{ code, args }`; their text is made in reasons.lua.
local glob = require("appmgr.planner.glob")
local permits = require("appmgr.permits")

local M = {}

local DRAIN = { code = "drain" }
local INELIGIBLE = { code = "ineligible" }
local UNREADABLE = { code = "unreadable" }
local STRANGER = { code = "stranger" }
local LOCAL_NAME = { code = "local_name" }

local function unmet_condition(task, node)
  local unmet
  for label, pattern in pairs(task.condition) do
    local value = node.labels[label]
    if not (value and glob.matches(pattern, value)) and (not unmet or label < unmet) then unmet = label end
  end
  if not unmet then return nil end
  local value = node.labels[unmet]
  return {
    code = value and "condition" or "condition_missing",
    args = { label = unmet, pattern = task.condition[unmet], value = value },
  }
end

--- Why a replica that is on a node may not stay there.
-- @tparam table task the parsed task
-- @tparam table node
-- @treturn ?table the reason; nil when it may stay
function M.must_leave(task, node)
  if node.drain then return DRAIN end
  -- A node that cannot be understood, or follows another leader, keeps what it has.
  if node.error or node.stranger then return nil end
  if node.local_names[task.name] then return LOCAL_NAME end
  return permits.refusal(node.permits, task.application) or unmet_condition(task, node)
end

--- Why a node gets no further replica.
-- @tparam table task the parsed task
-- @tparam table node
-- @treturn ?table the reason; nil when it may get one
function M.rejects(task, node)
  if node.stranger then return STRANGER end
  if node.drain then return DRAIN end
  if node.error then return UNREADABLE end
  if not node.eligible then return INELIGIBLE end
  if node.local_names[task.name] then return LOCAL_NAME end
  return permits.refusal(node.permits, task.application) or unmet_condition(task, node)
end

return M
