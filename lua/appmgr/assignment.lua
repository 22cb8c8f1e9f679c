--- The assignment document under `assignment/<host>`: which slots of which tasks
-- a host runs, and in which version.
local fields = require("appmgr.fields")
local names = require("appmgr.names")
local port_name = require("appmgr.port_name")

local M = {}

local slot_number = fields.integer(0, 1000000)
local port_number = fields.integer(1, 65535)
local seconds = fields.integer(1, 10000000)

-- What a replica was given: name → number; nil when it was given none.
local function read_ports(value)
  if value == nil then return nil end
  if not fields.is_object(value) then return nil, "must be an object" end
  local ports = {}
  for name, number in pairs(value) do
    local ok, reason = port_name.check(name)
    if not ok then return nil, reason end
    ports[name], reason = port_number(number)
    if not ports[name] then return nil, ("%s %s"):format(name, reason) end
  end
  return next(ports) and ports
end

-- Who else has a slot of the task: slot → host; nil where the task does not ask for it. Slots are texts here, as JSON
-- knows no numbers as keys.
local function read_peers(value)
  if value == nil then return nil end
  if not fields.is_object(value) then return nil, "must be an object" end
  local peers = {}
  for slot, host in pairs(value) do
    local is_slot = type(slot) == "string" and slot:find("^%d+$") and #slot <= 7
    local ok, reason = names.check(host, "host")
    if not is_slot or not ok then return nil, is_slot and reason or "must name slots" end
    peers[slot] = host
  end
  return next(peers) and peers
end

local moved_since = fields.integer(0, 1 << 53)
local moved_number = fields.number(-math.huge, math.huge)

-- That a replica was chosen to take over from one that runs elsewhere, so that the load is more even (planner/moves.lua).
local function read_moved(value)
  if value == nil then return nil end
  if not fields.is_object(value) then return nil, "must be an object" end
  local moved = { by = value.by == "wish" and "wish" or "score" }
  local ok, reason = names.check(value.from, "host")
  if not ok then return nil, reason end
  moved.from = value.from
  for name, read in pairs({ slot = slot_number, since = moved_since, at = moved_since }) do
    moved[name], reason = read(value[name])
    if not moved[name] then return nil, ("%s %s"):format(name, reason) end
  end
  moved.round = type(value.round) == "string" and value.round or nil
  moved.before, moved.after = moved_number(value.before), moved_number(value.after)
  return moved
end

local function read_replica(value)
  if not fields.is_object(value) then
    return nil, "must be an object"
  end
  local ok, reason = names.check(value.task, "task")
  if not ok then return nil, reason end
  local slot, slot_reason = slot_number(value.slot)
  if not slot then return nil, "slot: " .. slot_reason end
  ok, reason = names.check(value.version, "version")
  if not ok then return nil, reason end
  local ports, ports_reason = read_ports(value.ports)
  if ports_reason then return nil, "ports: " .. ports_reason end
  local peers, peers_reason = read_peers(value.peers)
  if peers_reason then return nil, "peers: " .. peers_reason end
  local moved, moved_reason = read_moved(value.moved)
  if moved_reason then return nil, "moved: " .. moved_reason end
  local stops_within, within_reason
  if value.stops_within ~= nil then stops_within, within_reason = seconds(value.stops_within) end
  if within_reason then return nil, "stops_within: " .. within_reason end
  return {
    task = value.task,
    slot = slot,
    moved = moved or nil,
    ports = ports or nil,
    peers = peers or nil,
    stops_within = stops_within,
    version = value.version,
    since = math.type(value.since) and math.tointeger(value.since // 1) or 0,
    leaving = value.leaving == true or nil,
    preempted = value.preempted == true or nil,
  }
end

--- The order in which replicas stand in every document.
-- @tparam table a replica
-- @tparam table b replica
-- @treturn boolean
function M.before(a, b)
  if a.task ~= b.task then return a.task < b.task end
  return a.slot < b.slot
end

--- Reads the bytes of an assignment. One bad entry makes the whole document
-- unreadable: who follows it must not act on half a decision.
-- @tparam ?string text the value
-- @tparam table json appmgr.json
-- @treturn[1] {replica,...} sorted: `task`, `slot`, `version`, `since` (unix s), `leaving` (true or nil),
--   `preempted` (true or nil: it leaves to make room for what is more important), `ports` (name → number; nil when it
--   was given none), `peers` (slot, as a text, → host of the task's other
--   slots; nil when it does not ask for them), `moved` (nil but for the successor of a move for balance: `from` (host), `slot` and
--   `since` of whom it succeeds, `at` (unix s), `round`, `by` ("score" or "wish"), `before` and `after`; see planner/moves.lua),
--   `stops_within` (seconds within which a host that is cut off has stopped it; nil: it goes on)
-- @treturn[1] ?integer since when the host is gone, unix s; nil while it is not
-- @treturn[2] nil
-- @treturn[2] string why it cannot be read
function M.parse(text, json)
  local document, reason = nil, "the value is empty"
  if text and text ~= "" then
    document, reason = json.decode(text)
  end
  if document == nil then
    return nil, "no valid JSON: " .. tostring(reason)
  end
  local list = type(document) == "table" and document.replicas
  if type(list) ~= "table" or (#list == 0 and next(list) ~= nil) then
    return nil, "no array \"replicas\""
  end
  local replicas, seen = {}, {}
  for index, value in ipairs(list) do
    local replica, why = read_replica(value)
    local id = replica and (replica.task .. "." .. replica.slot)
    if not replica or seen[id] then
      return nil, ("replica %d: %s"):format(index, why or (id .. " stands there twice"))
    end
    seen[id] = true
    replicas[index] = replica
  end
  table.sort(replicas, M.before)
  local gone_since = document.gone_since
  return replicas, math.type(gone_since) and math.tointeger(gone_since // 1) or nil
end

--- The text of an assignment, canonical: equal replicas give equal bytes.
-- @tparam {replica,...} replicas in any order; not changed
-- @tparam table json appmgr.json
-- @tparam[opt] integer gone_since since when the host is gone, unix s
-- @treturn string
function M.encode(replicas, json, gone_since)
  local list = {}
  for index, replica in ipairs(replicas) do
    list[index] = {
      task = replica.task, slot = replica.slot, version = replica.version, since = replica.since,
      leaving = replica.leaving or nil, preempted = replica.preempted or nil, ports = replica.ports,
      peers = replica.peers, moved = replica.moved, stops_within = replica.stops_within,
    }
  end
  table.sort(list, M.before)
  return json.encode({ replicas = json.array(list), gone_since = gone_since })
end

--- The seed's form of the same decision: names, once for each slot that stays.
-- A leaving slot is decided away already, so it is not named.
-- @tparam {replica,...} replicas in any order
-- @treturn {string,...} sorted
function M.topology(replicas)
  local list = {}
  for _, replica in ipairs(replicas) do
    if not replica.leaving then list[#list + 1] = replica.task end
  end
  table.sort(list)
  return list
end

return M
