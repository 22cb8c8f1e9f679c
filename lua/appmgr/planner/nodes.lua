--- The model's nodes: who is alive (`live/`), what operators want of them
-- (`node/`), and what they show to run (`status/<host>/applications`).
local capacity = require("appmgr.planner.capacity")
local intents = require("appmgr.intent")
local names = require("appmgr.names")
local permits = require("appmgr.permits")

local Nodes = {}
Nodes.__index = Nodes

--- @tparam table deps `json`
-- @treturn Nodes
function Nodes.new(deps)
  return setmetatable({
    json = deps.json, live = {}, left = {}, intents = {}, status = {}, load = {}, unheld = {}, bad_keys = { live = {}, node = {} },
    live_read = false, intents_read = false,
  }, Nodes)
end

local function set_of(list)
  local set = {}
  for _, name in ipairs(type(list) == "table" and list or {}) do set[name] = true end
  return set
end

-- Tasks whose replicas keep failing there, and until when that counts.
local function read_avoid(value)
  local avoid
  for task, until_time in pairs(type(value) == "table" and value or {}) do
    if type(task) == "string" and math.type(until_time) then
      avoid = avoid or {}
      avoid[task] = until_time
    end
  end
  return avoid
end

local function read_live(text, json)
  local document = text and json.decode(text)
  if type(document) ~= "table" then
    return { error = "is no JSON object", labels = {}, size = capacity.read({}), local_names = {} }
  end
  local size, fault = capacity.read(document)
  local labels, label_fault = capacity.read_labels(document.labels)
  return {
    cluster = document.cluster, incarnation = document.incarnation, version = document.version,
    candidate = document.candidate, labels = labels, size = size,
    hostname = type(document.hostname) == "string" and document.hostname or nil, error = fault, label_fault = label_fault,
    local_names = set_of(document.local_applications), permits = permits.read(document.tasks),
    avoid = read_avoid(document.avoid),
  }
end

local function read_intent(text, json)
  local intent, reason = intents.read(text and json.decode(text))
  if not intent then return { error = reason, labels = {} } end
  intent.labels, intent.label_fault = capacity.read_labels(intent.labels)
  return intent
end

-- Parses each value under a folder once per change; `accept` may refuse an entry.
local function update(known, entries, parse, accept)
  local result, bad_keys = {}, {}
  for _, entry in ipairs(entries) do
    local host = entry.key:match("^%w+/(.*)$") or ""
    local ok, reason = names.check(host, "node name")
    if ok and accept(entry) then
      local before = known[host]
      if not before or before.text ~= entry.value then
        before = parse(entry.value)
        before.text = entry.value
      end
      result[host] = before
    elseif not ok and entry.value then
      bad_keys[entry.key] = reason
    end
  end
  return result, bad_keys
end

-- A node that leaves says so in a key that no session holds; the leader deletes it.
local function left_of(entries, json)
  local left = {}
  for _, entry in ipairs(entries) do
    local host = entry.session == nil and entry.value and entry.key:match("^live/([^/]+)$")
    local document = host and json.decode(entry.value)
    if type(document) == "table" and document.left == true then left[host] = entry.index end
  end
  return left
end

--- Takes a listing of `live/`. A key that no session holds is nobody's, but for what a node that left says in it.
-- @tparam {entry,...} entries see listing.read
function Nodes:feed_live(entries)
  self.live_read, self.unheld = true, {}
  for _, entry in ipairs(entries) do
    if not entry.session then self.unheld[entry.key] = entry.index end
  end
  self.live, self.bad_keys.live = update(self.live, entries,
    function(text) return read_live(text, self.json) end,
    function(entry) return entry.session ~= nil end)
  self.left = left_of(entries, self.json)
  for host in pairs(self.load) do
    if not self.live[host] then self.load[host] = nil end
  end
end

--- Takes a listing of `node/`.
-- @tparam {entry,...} entries see listing.read
function Nodes:feed_intents(entries)
  self.intents_read, self.has_folder = true, false
  for _, entry in ipairs(entries) do
    self.has_folder = self.has_folder or entry.key == "node/"
  end
  self.intents, self.bad_keys.node = update(self.intents, entries,
    function(text) return read_intent(text, self.json) end,
    function(entry) return entry.value ~= nil end)
end

--- Names one slot of one task.
-- @tparam string task
-- @tparam integer slot
-- @treturn string
function Nodes.slot_id(task, slot)
  return task .. "." .. slot
end

--- Takes the status key of one host. Its flags say which assignment the host acts on (see node/report.lua).
-- @tparam string host
-- @tparam ?entry entry nil when there is none
function Nodes:feed_status(host, entry)
  local document = entry and entry.value and self.json.decode(entry.value)
  if type(document) ~= "table" then
    self.status[host] = nil
    return
  end
  local rows = {}
  for _, row in pairs(document) do
    if type(row) == "table" and type(row.task) == "string" and math.type(row.slot) == "integer" then
      rows[Nodes.slot_id(row.task, row.slot)] = row
    end
  end
  self.status[host] = { acted_on = entry.flags, rows = rows }
end

local function read_percents(values)
  local load = {}
  for _, name in ipairs({ "cpu", "memory" }) do
    local percent = type(values) == "table" and values[name]
    if math.type(percent) and percent >= 0 and percent <= 100 then load[name] = percent end
  end
  return load
end

--- Takes what some hosts say of their resources: how loaded they are, in percent.
-- @tparam {entry,...} entries of `status/<host>/resource`
function Nodes:feed_load(entries)
  for _, entry in ipairs(entries) do
    local host = entry.key:match("^status/([^/]+)/resource$")
    local document = host and entry.value and self.json.decode(entry.value)
    if type(document) == "table" then self.load[host] = read_percents(document.load_percent) end
  end
end

--- The names of the live nodes.
-- @treturn {string,...} sorted
function Nodes:names()
  local list = {}
  for name in pairs(self.live) do list[#list + 1] = name end
  table.sort(list)
  return self.json.array(list)
end

--- Forgets the status of every host that nobody watches: what is not watched goes stale.
-- @tparam table watched set of hosts
function Nodes:keep_status(watched)
  for host in pairs(self.status) do
    if not watched[host] then self.status[host] = nil end
  end
end

local NO_INTENT = { drain = false, eligible = true, labels = {} }

local function merged(own, intended)
  local labels = {}
  for name, value in pairs(own) do labels[name] = value end
  for name, value in pairs(intended) do labels[name] = value end
  return labels
end

--- The live nodes, by name.
-- @treturn {table,...} `name`, `hostname`, `labels` (intent wins), the fields of capacity.read, `drain`,
--   `load` (`cpu`, `memory` in percent; nil while it is not
--   known), `drain_deadline` (unix s or nil), `wait_for_room`, `eligible`, `local_names` (set), `permits` (see appmgr.permits),
--   `cluster`, `error` (nil while its
--   documents can be read), `status` (nil or `acted_on`, an
--   index of its assignment, 0 when it has read none; and `rows` by slot id)
function Nodes:list()
  local list = {}
  for name, live in pairs(self.live) do
    local intent = self.intents[name] or NO_INTENT
    list[#list + 1] = {
      name = name, hostname = live.hostname, labels = merged(live.labels, intent.labels),
      capacity = live.size.capacity, reserved = live.size.reserved, overcommit = live.size.overcommit,
      local_used = live.size.local_used, ports = live.size.ports, reserved_ports = live.size.reserved_ports,
      load = self.load[name], drain_deadline = intent.deadline, wait_for_room = intent.wait_for_room or false,
      local_names = live.local_names, permits = live.permits, avoid = live.avoid, cluster = live.cluster, incarnation = live.incarnation,
      version = live.version, candidate = live.candidate, drain = intent.drain or false,
      -- A document that cannot be read moves nothing and attracts nothing.
      eligible = intent.eligible == true and not live.error, error = live.error or intent.error,
      status = self.status[name],
    }
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- A node that is gone, as it stands in the list while something of it is still its own.
-- @tparam string name
-- @tparam integer since unix s
-- @tparam ?integer until_time unix s; nil: until it is back, or somebody says that it will not be
-- @treturn table a record as of `list`, with `gone`, `gone_since`, `grace_until`
function Nodes:gone_record(name, since, until_time)
  local size = capacity.read({})
  local intent = self.intents[name] or NO_INTENT
  return {
    name = name, labels = merged({}, intent.labels), capacity = size.capacity, reserved = size.reserved,
    overcommit = size.overcommit, local_used = size.local_used, ports = size.ports, reserved_ports = size.reserved_ports,
    local_names = {}, drain = false, wait_for_room = false, eligible = false, gone = true, gone_since = since,
    grace_until = until_time,
  }
end

--- What operators should hear about the documents.
-- @treturn {table,...} `key`, `text`
function Nodes:problems()
  local list = {}
  for _, bad_keys in pairs(self.bad_keys) do
    for key, reason in pairs(bad_keys) do
      list[#list + 1] = { key = key, text = ("%s: %s; it is ignored"):format(key, reason) }
    end
  end
  for folder, documents in pairs({ live = self.live, node = self.intents }) do
    for name, document in pairs(documents) do
      if document.error then
        local key = folder .. "/" .. name
        local text = ("%s %s; node \"%s\" gets nothing new until that is put right"):format(key, document.error, name)
        list[#list + 1] = { key = key, text = text }
      end
      if document.label_fault then
        local key = folder .. "/" .. name
        list[#list + 1] = { key = key .. ":labels", text = ("%s: %s"):format(key, document.label_fault) }
      end
    end
  end
  return list
end

return Nodes
