--- Tells each slot of a task where its other slots are, where the task asks for it (`peers`).
--
-- It stands in the assignments, so that a node that starts a slot has it at hand and reads nothing for it. What it costs
-- is the task's own: a slot that moves is told to the nodes that have the others.
local M = {}

local function same(a, b)
  for slot, host in pairs(a) do
    if b[slot] ~= host then return false end
  end
  for slot in pairs(b) do
    if not a[slot] then return false end
  end
  return true
end

local function others_of(own, holders)
  local peers = {}
  for _, holder in ipairs(holders) do
    if holder.replica.slot ~= own.replica.slot then peers[tostring(holder.replica.slot)] = holder.site.name end
  end
  return next(peers) and peers
end

local function with_peers(replica, peers)
  local made = {}
  for name, value in pairs(replica) do made[name] = value end
  made.peers = peers or nil
  return made
end

--- Brings what the slots of a task are told of each other up to date.
-- @tparam table task the parsed task
-- @tparam {holder,...} staying its slots as decided
-- @tparam function replace (holder, replica): the holder's replica is another one now
function M.share(task, staying, replace)
  for _, holder in ipairs(staying) do
    local known = holder.replica.peers
    -- Nearly no task asks, and nobody was told anything of it.
    if task.peers or known then
      local peers = task.peers and others_of(holder, staying) or nil
      if not same(peers or {}, known or {}) then replace(holder, with_peers(holder.replica, peers)) end
    end
  end
end

return M
