--- How much room nodes have, for people to look at.
local resources = require("appmgr.planner.rules.resources")

local M = {}

local function requests_by_task(tasks)
  local requests = {}
  for _, entry in ipairs(tasks) do requests[entry.name] = entry.task and entry.task.resources end
  return requests
end

--- What the replicas of one node ask for; also those that leave are there until they are gone.
local function used_by(replicas, requests)
  local used = {}
  for _, replica in ipairs(replicas) do
    for name, amount in pairs(requests[replica.task] or {}) do used[name] = (used[name] or 0) + amount end
  end
  return used
end

--- Works out the room of one node after the other.
-- @tparam {table,...} tasks see Tasks:list
-- @treturn function(node, replicas) → table by name of what it has: `available` (for tasks) and `used` (by them), whole
--   numbers; only what the node declares
function M.accountant(tasks)
  local requests = requests_by_task(tasks)
  return function(node, replicas)
    local available, used, room = resources.available(node), used_by(replicas, requests), {}
    for name, amount in pairs(available) do room[name] = { available = amount, used = used[name] or 0 } end
    return room
  end
end

return M
