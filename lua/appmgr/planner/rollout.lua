--- Moves a task's slots to its current version, one at a time: the next when the
-- previous one is shown to run it.
--
-- The previous one is whichever got the version last, by its `since`: so a new leader
-- goes on where the old one stopped, and few nodes have to be watched: `since` is whole seconds,
-- and those that got it within the same one are the previous one together.
local Nodes = require("appmgr.planner.nodes")
local ports = require("appmgr.planner.rules.ports")

local M = {}

--- Whether a slot is shown to run a version, or to wait for its time with it.
-- @tparam holder holder `site`, `replica`
-- @tparam string version
-- @treturn boolean
function M.runs(holder, version)
  local status = holder.site.status
  local row = status and status.rows[Nodes.slot_id(holder.replica.task, holder.replica.slot)]
  if not row or row.version ~= version or row.state ~= "running" and row.state ~= "waiting" then return false end
  -- A row says nothing of ports: it counts when the node acts on what stands in its assignment.
  return not holder.replica.ports or status.acted_on >= holder.site.index
end

local NO_PORTS = {}

local function is_current(task, replica)
  if replica.version ~= task.version then return false end
  -- Most have none and want none.
  if not task.ports and not replica.ports then return true end
  return ports.suits(task.ports or NO_PORTS, replica.ports)
end

--- Whether all slots of a task have its current version and the ports that it wants: most tasks have nothing to roll out.
-- @tparam table task the parsed task
-- @tparam {holder,...} staying its slots
-- @treturn boolean
function M.is_done(task, staying)
  for _, holder in ipairs(staying) do
    if not is_current(task, holder.replica) then return false end
  end
  return true
end

local function latest(holders)
  local since = -math.huge
  for _, holder in ipairs(holders) do since = math.max(since, holder.replica.since) end
  local list = {}
  for _, holder in ipairs(holders) do
    if holder.replica.since == since then list[#list + 1] = holder end
  end
  return list, since
end

local function all_run(holders, version)
  for _, holder in ipairs(holders) do
    if not M.runs(holder, version) then return false end
  end
  return true
end

--- Takes the next step of a task's rollout, if one is due.
-- @tparam table task the parsed task
-- @tparam {holder,...} staying its slots in order, with those just placed
-- @tparam integer now unix s
-- @tparam function move (holder, since) → boolean: gives it the new version and the ports that it wants; false when these
--   are not free there, and it stays as it is
-- @treturn {holder,...} those that get the new version now
-- @treturn {holder,...} those whose status has to be seen before the next step; all of them, also those that are
--   known to run: what is not watched is forgotten
function M.advance(task, staying, now, move)
  if M.is_done(task, staying) then return {}, {} end
  local old, new = {}, {}
  for _, holder in ipairs(staying) do
    local list = is_current(task, holder.replica) and new or old
    list[#list + 1] = holder
  end
  -- What is disabled never runs: there is nothing to wait for.
  local is_disabled = task.application.status == 0
  local previous, since = latest(new)
  if not is_disabled and not all_run(previous, task.version) then return {}, previous end
  local moved = {}
  for _, holder in ipairs(old) do
    -- Never before the previous one, whatever the clock of the leader before showed.
    if move(holder, math.max(now, since)) then moved[#moved + 1] = holder end
    if moved[1] and not is_disabled then break end
  end
  if #moved == #old then return moved, {} end
  return moved, latest(table.move(moved, 1, #moved, #new + 1, new))
end

return M
