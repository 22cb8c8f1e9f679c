--- The model's holdings: what the store says each host runs (`assignment/`,
-- `topology/`), which versions it has, and its identity (`meta`).
--
-- Beside the store's content stands what was decided in this term: where
-- the two differ, somebody else wrote, and the decision is written again. The
-- first audit of a term has nothing to compare with and is taken as it is.
local assignment = require("appmgr.assignment")

local Holdings = {}
Holdings.__index = Holdings

--- @tparam table deps `json`
-- @treturn Holdings
function Holdings.new(deps)
  local self = setmetatable({ json = deps.json, versions = {}, versions_read = false, created = 0, unlisted = {} }, Holdings)
  self:forget()
  return self
end

--- Starts from nothing, for a new term; the versions are immutable and stay.
function Holdings:forget()
  self.store, self.topology, self.decided, self.unreadable = {}, {}, {}, {}
  self.foreign, self.pending, self.in_step, self.marks, self.gone_since = {}, {}, {}, {}, {}
  self.meta, self.meta_error, self.audited, self.leader_index = nil, nil, false, nil
end

local function set_of(list)
  local set = {}
  for _, value in ipairs(type(list) == "table" and list or {}) do set[value] = true end
  return set
end

function Holdings:feed_meta(text)
  self.meta, self.meta_error = nil, nil
  if not text then return end
  local document = self.json.decode(text)
  if type(document) ~= "table" or type(document.cluster) ~= "string" then
    self.meta_error = "meta holds no cluster id"
  elseif document.schema ~= 1 then
    self.meta_error = "meta has a schema this version does not know: " .. tostring(document.schema)
  else
    self.meta = { cluster = document.cluster, accepted = set_of(document.accepted) }
  end
end

local function same(a, b, json)
  return assignment.encode(a, json) == assignment.encode(b, json)
end

-- What somebody else added may run by now: it has to leave like anything else.
local function with_extras_leaving(decided, found)
  local result, known = table.move(decided, 1, #decided, 1, {}), {}
  for _, replica in ipairs(decided) do known[replica.task .. "." .. replica.slot] = true end
  for _, replica in ipairs(found) do
    if not known[replica.task .. "." .. replica.slot] then
      local extra = { leaving = true }
      for key, value in pairs(replica) do extra[key] = extra[key] or value end
      result[#result + 1] = extra
    end
  end
  return result
end

function Holdings:take_foreign(host, found)
  self.foreign[host] = true
  self.decided[host] = with_extras_leaving(self.decided[host] or {}, found or {})
end

--- Notes since which index the store's assignment of a host has each slot marked as leaving: `marks[host][slot id]`.
-- A mark that stood in the assignment before counts from then only if nobody can have written in between.
-- @tparam string host
-- @tparam {replica,...} replicas what the store says now
-- @tparam integer index of the assignment
-- @tparam ?table before the marks of the assignment that this one directly follows
function Holdings:mark(host, replicas, index, before)
  local marks = {}
  for _, replica in ipairs(replicas) do
    local id = replica.task .. "." .. replica.slot
    if replica.leaving then marks[id] = before and before[id] or index end
  end
  self.marks[host] = marks
end

--- Compares a host's assignment with what was decided.
-- @tparam string host
-- @tparam ?string text
-- @tparam boolean is_first whether there is nothing to compare with
-- @tparam ?integer gone_since since when it was gone, as far as was decided
-- @treturn ?{replica,...} what it holds, nil when it cannot be read
function Holdings:audit_host(host, text, is_first, gone_since)
  local found, detail = assignment.parse(text, self.json)
  self.gone_since[host] = found and detail or nil
  local decided, pending = self.decided[host], self.pending[host]
  if found and (is_first or (pending and same(found, pending, self.json))) then
    self.decided[host] = found
  elseif is_first then
    self.unreadable[host] = detail
  elseif not found or not decided or not same(found, decided, self.json) then
    if not self.unreadable[host] then
      self:take_foreign(host, found)
      self.gone_since[host] = gone_since
    end
  end
  return found
end

-- A host whose key vanished: our own deletion, or somebody else's.
function Holdings:audit_missing()
  for host, decided in pairs(self.decided) do
    if not self.store[host] then
      if self.pending[host] == false then
        self.decided[host] = nil
      elseif #decided > 0 then
        self.foreign[host] = true
      end
    end
  end
end

--- Takes the answer of the read transaction over `assignment/`, `topology/`, `meta` and `leader`.
-- @tparam {entry,...} entries see listing.read_transaction
function Holdings:feed_audit(entries)
  local is_first = not self.audited
  local meta
  local store, marks, gone_since = self.store, self.marks, self.gone_since
  self.store, self.topology, self.foreign, self.audited = {}, {}, {}, true
  self.in_step, self.marks, self.gone_since = {}, {}, {}
  for _, entry in ipairs(entries) do
    local folder, host = entry.key:match("^(%a+)/([^/]+)$")
    if folder == "assignment" then
      self.store[host] = { index = entry.index, text = entry.value or "" }
      local is_same = store[host] and store[host].index == entry.index
      local found = self:audit_host(host, entry.value, is_first, gone_since[host])
      self:mark(host, found or {}, entry.index, is_same and marks[host])
    elseif folder == "topology" then
      self.topology[host] = self.json.decode(entry.value or "") or false
    elseif entry.key == "meta" then
      meta = entry.value
    elseif entry.key == "leader" then
      self.leader_index = entry.index
    end
  end
  self:feed_meta(meta)
  self:audit_missing()
  self.pending = {}
end

--- Forgets hosts that are neither alive nor in the store: one that returns
-- starts with nothing.
-- @tparam {node,...} nodes the live nodes
function Holdings:prune(nodes)
  local live = {}
  for _, node in ipairs(nodes) do live[node.name] = true end
  for host in pairs(self.decided) do
    if not live[host] and not self.store[host] then self.decided[host], self.foreign[host] = nil, nil end
  end
end

--- Gives a host whose assignment could not be read what it shows to run.
-- @tparam string host
-- @tparam table rows status rows by slot id
function Holdings:recover(host, rows)
  local replicas = {}
  for _, row in pairs(rows) do
    if type(row.version) == "string" then
      replicas[#replicas + 1] = { task = row.task, slot = row.slot, version = row.version, since = 0 }
    end
  end
  table.sort(replicas, assignment.before)
  self.decided[host], self.unreadable[host] = replicas, nil
end

-- Versions --------------------------------------------------------------

function Holdings:add_version(task, hash)
  local known = self.versions[task] or {}
  self.versions[task] = known
  if not known[hash] then
    self.created = self.created + 1
    known[hash] = self.created
  end
end

--- Takes the listing of keys under `version/`. What a listing holds is older
-- than what this planner makes later; among each other they have no age.
-- @tparam {string,...} keys relative
function Holdings:feed_versions(keys)
  local before, known = self.versions, self.unlisted
  self.versions, self.versions_read, self.unlisted = {}, true, {}
  table.sort(keys)
  local function take(key, task, hash)
    self.versions[task] = self.versions[task] or {}
    self.versions[task][hash] = before[task] and before[task][hash]
    self:add_version(task, hash)
    known[key] = nil
  end
  for _, key in ipairs(keys) do
    local task, hash = key:match("^version/([^/]+)/([^/]+)$")
    if task then take(key, task, hash) end
  end
  for key, version in pairs(known) do
    take(key, version.task, version.hash)
    self.unlisted[key] = version
  end
end

--- Consul refused to make a version because it is there. That outweighs a listing without it, which a token that
-- may not list gets: else it would be written, and refused, for ever.
-- @tparam string task
-- @tparam string hash
function Holdings:note_existing(task, hash)
  self:add_version(task, hash)
  self.unlisted[("version/%s/%s"):format(task, hash)] = { task = task, hash = hash }
end

--- Whether the store has a version.
-- @tparam string task
-- @tparam string hash
-- @treturn boolean
function Holdings:has_version(task, hash)
  return self.versions[task] ~= nil and self.versions[task][hash] ~= nil
end

--- Remembers that the store says of a host exactly what was decided, until either changes.
-- @tparam string host
function Holdings:mark_in_step(host)
  self.in_step[host] = true
end

-- Own writes ------------------------------------------------------------

--- Remembers what the batches of a decision would leave behind.
-- @tparam {change,...} changes see diff.changes
function Holdings:expect(changes)
  self.pending = {}
  for _, change in ipairs(changes) do
    self.pending[change.host] = change.kind == "set" and change.replicas or false
  end
end

local APPLY = {
  assignment = function(self, effect, index)
    self.store[effect.host] = { index = index, text = effect.text }
    self:mark(effect.host, effect.replicas, index, self.marks[effect.host])
    self.gone_since[effect.host] = effect.gone_since
    self.decided[effect.host], self.unreadable[effect.host] = effect.replicas, nil
    self.pending[effect.host], self.foreign[effect.host], self.in_step[effect.host] = nil, nil, nil
  end,
  topology = function(self, effect) self.topology[effect.host] = effect.names end,
  assignment_gone = function(self, effect)
    self.store[effect.host], self.decided[effect.host], self.marks[effect.host] = nil, nil, nil
    self.gone_since[effect.host] = nil
    self.unreadable[effect.host], self.pending[effect.host] = nil, nil
  end,
  topology_gone = function(self, effect) self.topology[effect.host] = nil end,
  version = function(self, effect) self:add_version(effect.task, effect.hash) end,
  version_gone = function(self, effect)
    -- A listing that was read meanwhile may lack all of the task's.
    if self.versions[effect.task] then self.versions[effect.task][effect.hash] = nil end
    self.unlisted[("version/%s/%s"):format(effect.task, effect.hash)] = nil
  end,
  meta = function(self, effect) self.meta = { cluster = effect.cluster, accepted = {} } end,
}

--- Takes over what a transaction of ours changed.
-- @tparam {table,...} effects one for each operation, `kind` and its arguments, or false
-- @tparam table index_of ModifyIndex by relative key, from Consul's answer
function Holdings:apply(effects, index_of)
  for _, effect in ipairs(effects) do
    local apply = effect and APPLY[effect.kind]
    if apply then apply(self, effect, index_of[effect.key]) end
  end
end

--- What operators should hear.
-- @treturn {table,...} `key`, `text`
function Holdings:problems()
  local list = {}
  for host in pairs(self.foreign) do
    list[#list + 1] = {
      key = "assignment/" .. host,
      text = ("assignment/%s was changed by somebody else; the decision is written again"):format(host),
    }
  end
  for host, reason in pairs(self.unreadable) do
    list[#list + 1] = {
      key = "assignment/" .. host,
      text = ("assignment/%s cannot be read (%s); waiting for what the node says it runs"):format(host, reason),
    }
  end
  return list
end

return Holdings
