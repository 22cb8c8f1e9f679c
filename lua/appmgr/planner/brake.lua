--- The brake: a change of intent that would stop a large part of what runs waits for somebody to confirm it.
--
-- Only the stops wait. What is stopping already counts too, so that a script which removes one task after the other is
-- noticed. A stop of a slot that runs twice, or that makes room for another replica, is no change of intent.
local M = {}

--- Fewer stops than this many and one are nobody's mistake.
M.MINIMUM = 5

local NO_INTENT = { duplicate = true, preempted = true, rebalance = true }

local function slot_id(replica)
  return replica.task .. "." .. replica.slot
end

-- Stops that begin now and are neither confirmed nor exempt, by host and slot; and how many.
local function unconfirmed(stops, context)
  local by_host, counts, count = {}, {}, 0
  for _, stop in ipairs(stops) do
    local subject = context.subject_of(stop)
    if not NO_INTENT[stop.reason.code] and not context.is_confirmed(subject) then
      by_host[stop.host] = by_host[stop.host] or {}
      by_host[stop.host][slot_id(stop.replica)] = stop.replica
      counts[subject] = (counts[subject] or 0) + 1
      count = count + 1
    end
  end
  return by_host, counts, count
end

local function count_held(held, is_confirmed)
  local total, leaving = 0, 0
  for _, replicas in pairs(held) do
    total = total + #replicas
    for _, replica in ipairs(replicas) do
      if replica.leaving and not is_confirmed(replica.task) then leaving = leaving + 1 end
    end
  end
  return total, leaving
end

-- What is to be confirmed: the intents, and a short name for them.
local function identity_of(counts, context)
  local subjects, parts = {}, {}
  for subject in pairs(counts) do
    subjects[subject] = context.intent_of(subject)
    parts[#parts + 1] = subject .. "=" .. subjects[subject]
  end
  table.sort(parts)
  return "stop-" .. context.codec.sha256(table.concat(parts, " ")):sub(1, 8), subjects
end

local function restore(changes, by_host)
  local result = {}
  for host, replicas in pairs(changes) do
    local kept = by_host[host]
    result[host] = replicas
    if kept then
      local list = {}
      for index, replica in ipairs(replicas) do list[index] = replica.leaving and kept[slot_id(replica)] or replica end
      result[host] = list
    end
  end
  return result
end

--- Holds stops back where they are too many.
-- @tparam table decision `stops` ({`host`, `replica` as it is held, `reason`}), `changes` (replicas by host; not changed)
-- @tparam table context `held` (what the store holds, by host), `share` (0 to 1), `subject_of` (function(stop) → who asks for
--   it: a task's name, or what else), `intent_of` (function(subject) → string), `is_confirmed` (function(subject) → boolean),
--   `codec`
-- @treturn table the changes that may be written
-- @treturn ?table when stops are held back: `id`, `subjects` (intents by subject), `counts` (stops by subject), `stops`, `of`
--   (replicas in all)
function M.apply(decision, context)
  if #decision.stops == 0 then return decision.changes end
  local by_host, counts, count = unconfirmed(decision.stops, context)
  if count == 0 then return decision.changes end
  local total, leaving = count_held(context.held, context.is_confirmed)
  if count + leaving <= M.MINIMUM or count + leaving <= context.share * total then return decision.changes end
  local id, subjects = identity_of(counts, context)
  return restore(decision.changes, by_host), { id = id, subjects = subjects, counts = counts, stops = count, of = total }
end

return M
