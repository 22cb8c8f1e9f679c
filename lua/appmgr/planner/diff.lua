--- What of a decision differs from the store: the changes, host by host, in the
-- order in which they have to be written, and the words for them.
local assignment = require("appmgr.assignment")
local moves = require("appmgr.planner.moves")

local M = {}

local function slot_key(replica)
  return replica.task .. "." .. replica.slot
end

local function index(replicas)
  local map = {}
  for _, replica in ipairs(replicas or {}) do map[slot_key(replica)] = replica end
  return map
end

-- Whether a host gives up anything that it had.
local function loses(before, after)
  local current = index(after)
  for key, replica in pairs(index(before)) do
    local now = current[key]
    if not now or (now.leaving and not replica.leaving) then return true end
  end
  return false
end

local function same_names(names, stored)
  if type(stored) ~= "table" or #stored ~= #names then return false end
  for position, name in ipairs(names) do
    if stored[position] ~= name then return false end
  end
  return true
end

-- The store's assignment says the same, whatever its spelling.
local function same_assignment(stored, text, json)
  if not stored then return false end
  if stored.text == text then return true end
  local parsed, gone_since = assignment.parse(stored.text, json)
  return parsed ~= nil and not gone_since and assignment.encode(parsed, json) == text
end

-- The engine hands on what it does not change, so the same replicas are the same tables.
local function is_untouched(replicas, decided)
  if not decided or #decided ~= #replicas then return false end
  for position, replica in ipairs(replicas) do
    if decided[position] ~= replica then return false end
  end
  return true
end

local function change_of(host, replicas, holdings, json)
  if holdings.in_step[host] and is_untouched(replicas, holdings.decided[host]) then
    return nil
  end
  local text, names = assignment.encode(replicas, json), assignment.topology(replicas)
  local stored = holdings.store[host]
  if same_assignment(stored, text, json) and same_names(names, holdings.topology[host]) then
    if is_untouched(replicas, holdings.decided[host]) then holdings:mark_in_step(host) end
    return nil
  end
  return {
    kind = "set", host = host, replicas = replicas, text = text, names = names, index = stored and stored.index or 0,
    rank = loses(holdings.decided[host], replicas) and 2 or 3,
  }
end

local function gone_hosts(live, holdings)
  local gone = {}
  for _, known in ipairs({ holdings.store, holdings.topology }) do
    for host in pairs(known) do
      if not live[host] and not gone[host] then gone[host] = holdings.store[host] or {} end
    end
  end
  return gone
end

--- The changes that make the store say what was decided.
-- @tparam table decided replicas by host, for the hosts whose content changes
-- @tparam table snapshot see Model:snapshot: `nodes` (those that are gone are left out), `unreadable` (must
--   not be written yet), `unheld`, `absence` (of other hosts that are gone everything is deleted, see absence.changes)
-- @tparam Holdings holdings
-- @tparam table json appmgr.json
-- @treturn {table,...} stops before starts: `kind` ("set" or "delete"), `host`,
--   `index` (for check-and-set; nil when there is no assignment to delete),
--   for "set": `replicas`, `text`, `names`; for "delete": `topology` (there is one), `absent` (`key` of
--   `live/`, and its `index` where it stands there without a session: it is decided from nobody's holding it)
function M.changes(decided, snapshot, holdings, json)
  local list, live, unreadable = {}, {}, snapshot.unreadable
  for _, node in ipairs(snapshot.nodes) do
    local host = node.name
    live[host] = true
    if not node.gone and not unreadable[host] and (decided[host] or not holdings.in_step[host]) then
      list[#list + 1] = change_of(host, decided[host] or holdings.decided[host] or {}, holdings, json)
    end
  end
  for host, stored in pairs(gone_hosts(live, holdings)) do
    if not unreadable[host] and not snapshot.absence.hosts[host] then
      local has_topology = holdings.topology[host] ~= nil
      local key = "live/" .. host
      list[#list + 1] = {
        kind = "delete", host = host, index = stored.index, topology = has_topology, rank = 1,
        absent = { key = key, index = snapshot.unheld[key] },
      }
    end
  end
  table.sort(list, function(a, b)
    if a.rank ~= b.rank then return a.rank < b.rank end
    return a.host < b.host
  end)
  return list
end

local function describe(change, before, lines)
  local old, new = index(before), index(change.replicas)
  for _, replica in ipairs(change.replicas or {}) do
    local slot = slot_key(replica)
    local known = old[slot]
    if not known then
      lines[#lines + 1] = ("%s → %s (%s)"):format(slot, change.host, replica.moved and moves.text(replica.moved) or "new")
    elseif replica.leaving and not known.leaving then
      lines[#lines + 1] = ("%s leaves %s"):format(slot, change.host)
    elseif known.leaving and not replica.leaving then
      lines[#lines + 1] = ("%s stays on %s after all"):format(slot, change.host)
    elseif known.version ~= replica.version then
      lines[#lines + 1] = ("%s on %s: version %s → %s"):format(slot, change.host, known.version, replica.version)
    end
  end
  for _, replica in ipairs(before or {}) do
    if not new[slot_key(replica)] then
      local what = (change.kind == "delete" or change.gone_since) and "lost with" or "has left"
      lines[#lines + 1] = ("%s %s %s"):format(slot_key(replica), what, change.host)
    end
  end
end

--- The changes as lines for people.
-- @tparam {table,...} changes see `changes`
-- @tparam Holdings holdings before they are written
-- @tparam integer max how many lines at most
-- @treturn {string,...}
function M.summary(changes, holdings, max)
  local lines = {}
  for _, change in ipairs(changes) do describe(change, holdings.decided[change.host], lines) end
  if #lines > max then
    local more = #lines - max
    lines = table.move(lines, 1, max, 1, {})
    lines[max + 1] = ("… and %d more"):format(more)
  end
  return lines
end

return M
