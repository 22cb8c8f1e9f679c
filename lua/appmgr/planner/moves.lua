--- Moves for balance, as they stand in the assignments.
--
-- A replica that moves gets a successor, a slot with a number of its own on the better node. The successor's entry says whom it
-- succeeds, by host, slot and `since`, and that is all there is: while both are there the move is under way, and whoever leads goes
-- on with it. Where the successor is gone the other is a replica like any other again. The entry stays as it is afterwards: it
-- tells when the move began, which is how the moves of an interval are counted, and why the replica is where it is.
local M = {}

local NONE = {}

local function key_of(host, slot, since)
  return ("%s %d %d"):format(host, slot, since)
end

local function host_of(holder)
  return (holder.site or holder.node).name
end

--- Who succeeds whom among the holders of one task, as far as both stay.
-- @tparam {holder,...} holders `replica`, and `site` or `node`
-- @treturn table by holder that goes the holder that succeeds it
function M.pairs(holders)
  local by_key
  for _, holder in ipairs(holders) do
    local moved = not holder.replica.leaving and holder.replica.moved
    if moved then
      by_key = by_key or {}
      by_key[key_of(moved.from, moved.slot, moved.since)] = holder
    end
  end
  if not by_key then return NONE end
  local found = {}
  for _, holder in ipairs(holders) do
    local successor = by_key[key_of(host_of(holder), holder.replica.slot, holder.replica.since)]
    if successor and successor ~= holder then found[holder] = successor end
  end
  return found
end

local function shown(number)
  return number and ("%.8g"):format(number) or "refused there"
end

--- Why a replica was moved, for people.
-- @tparam table moved of its entry, see appmgr.assignment
-- @treturn string for example `score -3 → -1`
function M.reason(moved)
  local what = moved.by == "wish" and "its task's wishes" or "score"
  return ("%s %s → %s"):format(what, shown(moved.before), shown(moved.after))
end

--- The same with where it came from.
-- @tparam table moved
-- @treturn string
function M.text(moved)
  return ("moved for balance from %s: %s"):format(moved.from, M.reason(moved))
end

return M
