--- Nodes that are gone: which of their replicas stay theirs for now, and until when.
--
-- A node that vanishes may be back in a moment. Until its grace is over its replicas count as placed; those of a task that
-- says `on_disconnect: {"stop_after_seconds": N}` until they are surely stopped, by what the node was told of them; those of a
-- task that is frozen as long as it is, because nobody else could have them. When more than half of the nodes vanish
-- within one TTL it is rather the network, or Consul: then nothing of theirs moves before an operator says so, or they are back.
--
-- Nothing is remembered here: since when a node is gone stands in its assignment. That document outlives the replicas by one
-- TTL, so that nodes that vanish one after the other are counted together.
local assignment = require("appmgr.assignment")

local M = {}

--- How long after its time is up a replica may take to be stopped, when its task does not say.
local STOP_TIMEOUT_S <const> = 10

--- Within how many seconds a node that is cut off has stopped a replica of a task.
-- @tparam table task parsed
-- @treturn ?integer nil: it goes on
function M.stops_within(task)
  local terms = task.on_disconnect
  if type(terms) ~= "table" then return nil end
  local app = task.application or {}
  return math.ceil(terms.stop_after_seconds + (app.stop_timeout or STOP_TIMEOUT_S) + (app.fini_timeout or 0))
end

--- Until when a replica on a node that is gone stays there; infinite while nobody can say.
local function deadline_of(replica, since, context)
  local task = context.tasks[replica.task]
  if context.frozen[replica.task] then return math.huge end
  -- What an earlier version wrote says nothing: then the task counts, as it is now.
  local within = replica.stops_within or task and M.stops_within(task)
  -- It began to count at some moment within the second that `since` names.
  return since + math.max(context.grace, within and within + 1 or 0)
end

-- The most hosts that vanished within one TTL of each other: hosts by when they vanished, and the names in that window.
local function largest_wave(gone, ttl)
  local best, first = {}, 1
  for last = 1, #gone do
    while gone[last].since - gone[first].since > ttl do first = first + 1 end
    if last - first + 1 > #best then best = table.move(gone, first, last, 1, {}) end
  end
  return best
end

local function sorted_gone(context)
  local gone = {}
  for host, stored in pairs(context.hosts) do
    if not stored.left then
      gone[#gone + 1] = { host = host, since = stored.gone_since or context.now, replicas = stored.replicas }
    end
  end
  table.sort(gone, function(a, b)
    if a.since ~= b.since then return a.since < b.since end
    return a.host < b.host
  end)
  return gone
end

local function id_of(wave, codec)
  local parts = {}
  for index, one in ipairs(wave) do parts[index] = one.host .. "@" .. one.since end
  table.sort(parts)
  return "gone-" .. codec.sha256(table.concat(parts, " ")):sub(1, 8)
end

--- The nodes that nothing of moves: too many vanished at once, and nobody has said that they are gone for good.
-- @treturn table set of hosts
-- @treturn ?table `id` for the confirmation, `hosts` (sorted), `of` (how many nodes there were), `replicas` (how many wait),
--   `is_noted` (whether it stands in the store since when each is gone; before that the id is another one each second)
local function held_back(gone, context)
  local wave = largest_wave(gone, context.ttl)
  local of = context.live + #gone
  if #wave * 2 <= of then return {} end
  local hosts, set, replicas, is_noted = {}, {}, 0, true
  for index, one in ipairs(wave) do
    hosts[index], set[one.host] = one.host, true
    replicas = replicas + #one.replicas
    is_noted = is_noted and context.hosts[one.host].gone_since ~= nil
  end
  local id = id_of(wave, context.codec)
  if replicas == 0 or context.is_confirmed(id) then return {} end
  table.sort(hosts)
  return set, { id = id, hosts = hosts, of = of, replicas = replicas, is_noted = is_noted }
end

local function sooner(a, b)
  return not a and b or math.min(a, b)
end

--- Judges the nodes that are gone.
-- @tparam table context `now` (unix s), `grace` and `ttl` (seconds), `live` (how many nodes are alive), `tasks` (parsed, by
--   name), `frozen` (set of those whose replicas stay as they are), `is_confirmed` (function(id) → boolean), `codec`, and
--   `hosts`: those with an assignment that are not alive, each {`replicas`, `gone_since` (nil: since now), `left` (they said so)}
-- @treturn table `hosts`: for each whose assignment stays {`replicas` that stay its own, `since`, `until_time` (the latest of
--   their deadlines; nil when held back), `deadlines` (by replica; absent when held back)}; `held` (see held_back) when too many
--   vanished; `next_at`: when time alone changes this
function M.judge(context)
  local gone = sorted_gone(context)
  local held_set, held = held_back(gone, context)
  local result = { hosts = {}, held = held }
  for _, one in ipairs(gone) do
    local kept, deadlines, until_time = {}, {}, nil
    for _, replica in ipairs(one.replicas) do
      local deadline = deadline_of(replica, one.since, context)
      if held_set[one.host] or context.now < deadline then kept[#kept + 1] = replica end
      if not held_set[one.host] and context.now < deadline and deadline < math.huge then
        until_time, deadlines[replica] = math.max(until_time or 0, deadline), deadline
        result.next_at = sooner(result.next_at, deadline)
      end
    end
    local forget_at = one.since + context.ttl
    if #kept > 0 or held_set[one.host] or context.now < forget_at then
      result.hosts[one.host] = { replicas = kept, since = one.since, until_time = until_time, deadlines = deadlines }
    end
    if #kept == 0 and context.now < forget_at then result.next_at = sooner(result.next_at, forget_at) end
  end
  return result
end

--- What has to be written of the nodes that are gone: since when they are, and what is still their own.
-- @tparam table snapshot see Model:snapshot: `absence`, `unheld`
-- @tparam table decided replicas by host, for those that the engine changes
-- @tparam Holdings holdings
-- @tparam table json appmgr.json
-- @treturn {table,...} changes as of diff.changes, in the order of names, with `gone_since`; `is_buried` where nothing is left
function M.changes(snapshot, decided, holdings, json)
  local list = {}
  for host, gone in pairs(snapshot.absence.hosts) do
    local replicas, stored = decided[host] or gone.replicas, holdings.store[host]
    local text = assignment.encode(replicas, json, gone.since)
    if stored.text ~= text then
      -- Who is back in this very moment counts on what its assignment says.
      local key, loses = "live/" .. host, #replicas < #(holdings.decided[host] or {})
      list[#list + 1] = {
        absent = loses and { key = key, index = snapshot.unheld[key] } or nil,
        kind = "set", host = host, replicas = replicas, text = text, names = assignment.topology(replicas), index = stored.index,
        gone_since = gone.since, is_buried = #replicas == 0, rank = 1,
      }
    end
  end
  table.sort(list, function(a, b) return a.host < b.host end)
  return list
end

return M
