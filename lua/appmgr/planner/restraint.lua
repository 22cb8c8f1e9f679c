--- What of a decision is not written at once: stops that wait for a confirmation (brake.lua). And what people are told of that, of
-- starts that wait (pace.lua), and of nodes that are gone (absence.lua).
local brake = require("appmgr.planner.brake")
local confirmation = require("appmgr.confirmation")

local M = {}

--- What the configuration's `Placement` says when it says nothing.
M.DEFAULT_TERMS = { node_grace_seconds = 0, brake_share = 1 / 3, starts_per_second = 1000, session_ttl = 30 }

local MAX_NAMED <const> = 10

-- Who asked for a stop: the task's document, or for a drain what stands of the node.
local function subject_of(stop)
  return stop.reason.code == "drain" and confirmation.node(stop.host) or stop.replica.task
end

local function intents(snapshot, model)
  local entries = {}
  for _, entry in ipairs(snapshot.tasks) do entries[entry.name] = entry end
  return function(subject)
    local host = confirmation.host_of(subject)
    if host then
      local intent = model.nodes.intents[host]
      return confirmation.intent(intent and intent.text, model.codec)
    end
    return confirmation.intent(entries[subject] and entries[subject].value, model.codec)
  end
end

-- The stops of a result with the replica as it is held, which is what stays when the stop waits.
local function stops_of(result, held)
  local list = {}
  for _, stop in ipairs(result.stops) do
    local host, told = stop.holder.site.name, stop.holder.replica
    for _, replica in ipairs(held[host] or {}) do
      if replica.task == told.task and replica.slot == told.slot then
        list[#list + 1] = { host = host, replica = replica, reason = stop.reason }
      end
    end
  end
  return list
end

--- Holds back what has to wait.
-- @tparam table result of Engine:decide; not changed
-- @tparam table snapshot that it was decided on
-- @tparam Model model
-- @tparam table terms see DEFAULT_TERMS
-- @treturn table the changes that may be written, replicas by host
-- @treturn table `brake` (nil or `id`, `subjects` (intents by subject), `counts` (stops by subject), `stops`, `of`),
--   `is_waiting` (whether starts wait for the next second)
function M.apply(result, snapshot, model, terms)
  local intent_of = intents(snapshot, model)
  local changes, held_back = brake.apply({ stops = stops_of(result, snapshot.held), changes = result.changes }, {
    held = snapshot.held, share = terms.brake_share, codec = model.codec, subject_of = subject_of, intent_of = intent_of,
    is_confirmed = function(subject)
      return model.confirmations:covers(subject, intent_of(subject), snapshot.now)
    end,
  })
  return changes, { brake = held_back, is_waiting = result.is_rate_limited }
end

local function named(list)
  if #list <= MAX_NAMED then return table.concat(list, ", ") end
  return ("%s and %d more"):format(table.concat(list, ", ", 1, MAX_NAMED), #list - MAX_NAMED)
end

local function counted(counts)
  local subjects, parts = {}, {}
  for subject in pairs(counts) do subjects[#subjects + 1] = subject end
  table.sort(subjects)
  for index, subject in ipairs(subjects) do
    local host = confirmation.host_of(subject)
    parts[index] = ("%d %s %s"):format(counts[subject], host and "on node" or "of", host or subject)
  end
  return named(parts)
end

local BRAKE = "the brake holds: %d of %d replicas would be stopped at once (%s); they go on until somebody says "
  .. '"appmgr plan --confirm %s". Everything else is done'
local VANISHED = "%d of %d nodes vanished at about the same time (%s): none of their %d replicas moves until they are back, or "
  .. "somebody says %s"
local SAY_SO = '"appmgr plan --confirm %s"'
local SAY_SO_SOON = 'so: in a moment, when the leader has noted it, "appmgr plan" shows how'
local GONE = 'node "%s" is gone: its %d replicas stay its own for up to %d s more'
local PACE = "more replicas are to start: at most %d are started in one second"

local function gone_problems(snapshot, list)
  local absence, held = snapshot.absence, {}
  local wave = absence.held
  for _, host in ipairs(wave and wave.hosts or {}) do held[host] = true end
  if wave then
    local how = wave.id and SAY_SO:format(wave.id) or SAY_SO_SOON
    list[#list + 1] = { key = "live", text = VANISHED:format(#wave.hosts, wave.of, named(wave.hosts), wave.replicas, how) }
  end
  for host, gone in pairs(absence.hosts) do
    if not held[host] and gone.until_time and #gone.replicas > 0 then
      list[#list + 1] = { key = "live/" .. host, text = GONE:format(host, #gone.replicas, gone.until_time - gone.since) }
    end
  end
end

--- What people should hear of it.
-- @tparam table report from `apply`
-- @tparam table snapshot
-- @tparam table terms
-- @treturn {table,...} `key`, `text`, sorted by key
function M.problems(report, snapshot, terms)
  local list, held_back = {}, report.brake
  if held_back then
    local text = BRAKE:format(held_back.stops, held_back.of, counted(held_back.counts), held_back.id)
    list[1] = { key = "brake", text = text }
  end
  if report.is_waiting then list[#list + 1] = { key = "pace", text = PACE:format(terms.starts_per_second) } end
  gone_problems(snapshot, list)
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

return M
