--- Moves a task's slots to its current version, one at a time: the next when the
-- previous one is shown to run it.
--
-- The previous one is whichever got the version last, by its `since`: so a new leader
-- goes on where the old one stopped, and few nodes have to be watched: `since` is whole seconds,
-- and those that got it within the same one are the previous one together.
local Nodes = require("appmgr.planner.nodes")

local M = {}

--- Whether a slot is shown to run a version, or to wait for its time with it.
local function runs(holder, version)
  local status = holder.node.status
  local row = status and status.rows[Nodes.slot_id(holder.result.task, holder.result.slot)]
  return row ~= nil and row.version == version and (row.state == "running" or row.state == "waiting")
end

local function latest(holders)
  local since = -math.huge
  for _, holder in ipairs(holders) do since = math.max(since, holder.result.since) end
  local list = {}
  for _, holder in ipairs(holders) do
    if holder.result.since == since then list[#list + 1] = holder end
  end
  return list, since
end

local function all_run(holders, version)
  for _, holder in ipairs(holders) do
    if not runs(holder, version) then return false end
  end
  return true
end

local function with_version(replica, version, now)
  return { task = replica.task, slot = replica.slot, version = version, since = now }
end

--- Takes the next step of a task's rollout, if one is due.
-- @tparam table task the parsed task
-- @tparam {holder,...} staying its slots in order, with those just placed; the
--   `result` of each that moves is replaced
-- @tparam integer now unix s
-- @treturn {holder,...} those that get the new version now
-- @treturn {holder,...} those whose status has to be seen before the next step; all of them, also those that are
--   known to run: what is not watched is forgotten
function M.advance(task, staying, now)
  local old, new = {}, {}
  for _, holder in ipairs(staying) do
    local list = holder.result.version == task.version and new or old
    list[#list + 1] = holder
  end
  if #old == 0 then return {}, {} end
  -- What is disabled never runs: there is nothing to wait for.
  local is_disabled = task.application.status == 0
  local previous, since = latest(new)
  if not is_disabled and not all_run(previous, task.version) then return {}, previous end
  local moved = is_disabled and old or { old[1] }
  for _, holder in ipairs(moved) do
    -- Never before the previous one, whatever the clock of the leader before showed.
    holder.result = with_version(holder.result, task.version, math.max(now, since))
  end
  if #moved == #old then return moved, {} end
  return moved, latest(table.move(moved, 1, #moved, #new + 1, new))
end

return M
