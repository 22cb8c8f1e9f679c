--- Whose store this is: the cluster id that this node knows, against `meta`.
--
--   known id   meta          verdict
--   none       absent        unknown: a new cluster, its first leader writes meta
--   none       some id       adopted: the id is kept from now on
--   an id      the same      ok
--   an id      another that accepts ours (`cluster accept`)   adopted
--   an id      absent, another, unreadable   mismatch: the store is in doubt
--
-- While the store is in doubt nothing is stopped or changed: this node publishes
-- what it remembers under `memory/<host>`, follows `meta`, and waits for
-- `cluster accept` (the store is right) or `cluster restore` (the agents are).
local Watch = require("appmgr.consul.watch")
local recovery = require("appmgr.node.recovery")

local M = {}

local Cluster = {}
Cluster.__index = Cluster

local META = "meta"
local SCHEMA = 1
local RETRY_MS = 5000

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `log`, `problems`, `json`, `codec` (uuid), `state`
--   (get and set of `cluster`, load_assignment, load_tasks), `session` (id()), `node`, `fallback_ms`, `on_adopted`
--   (function(id): this node belongs to that cluster now), `on_settled` (function(): a doubt is over)
-- @treturn Cluster
function M.new(deps)
  return setmetatable({
    client = deps.client, timer = deps.timer, random = deps.random or math.random, log = deps.log,
    problems = deps.problems, json = deps.json, codec = deps.codec, state = deps.state, session = deps.session,
    node = deps.node, fallback_ms = deps.fallback_ms or RETRY_MS,
    on_adopted = deps.on_adopted, on_settled = deps.on_settled,
    key = "memory/" .. deps.node, in_doubt = false, generation = 0,
  }, Cluster)
end

local function cancel(self, name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

-- The verdict ---------------------------------------------------------------

local function read_meta(self, value)
  local document = self.json.decode(value)
  if type(document) ~= "table" or type(document.cluster) ~= "string" then
    return nil, "Consul's key meta holds no cluster id"
  end
  if document.schema ~= SCHEMA then
    return nil, ("Consul's key meta has the schema %s, which this version does not know"):format(tostring(document.schema))
  end
  return document
end

local function accepts(document, id)
  for _, accepted in ipairs(type(document.accepted) == "table" and document.accepted or {}) do
    if accepted == id then return true end
  end
  return false
end

--- Compares, without an effect.
-- @treturn string verdict
-- @treturn ?string the cluster id in meta, or what is wrong
local function judge(self, value)
  local known = self:id()
  if value == nil then
    if not known then return "unknown" end
    return "mismatch", ("Consul's key meta is missing, but this node belongs to cluster %s"):format(known)
  end
  local document, err = read_meta(self, value)
  if not document then return "mismatch", err end
  if document.cluster == known then return "ok", known end
  if not known or accepts(document, known) then return "adopted", document.cluster end
  return "mismatch", ("Consul holds cluster %s, but this node belongs to cluster %s"):format(document.cluster, known)
end

-- Doubt ---------------------------------------------------------------------

--- What this node remembers, as it is published.
local function own_memory(self)
  return recovery.encode_memory({
    node = self.node, cluster = self:id(), assignment = self.state:load_assignment(), tasks = self.state:load_tasks(),
  }, self.json)
end

local publish

local function publish_later(self)
  cancel(self, "retry")
  self.retry = self.timer.after(RETRY_MS, function()
    self.retry = nil
    publish(self)
  end)
end

--- Publishes what this node remembers, as long as its session lives.
function publish(self)
  local session = self.session:id()
  if not self.in_doubt or self.published_by == session or not session then return end
  cancel(self, "publishing")
  self.publishing = self.client:put(self.key, own_memory(self), { acquire = session }, function(held, err)
    self.publishing = nil
    if held then
      self.published_by = session
      return self.problems:clear("cluster/memory")
    end
    self.problems:set("cluster/memory", ("%s cannot be published: %s"):format(self.key,
      err and err.message or "another session holds it"))
    publish_later(self)
  end)
end

local function withdraw(self)
  cancel(self, "publishing")
  cancel(self, "retry")
  self.problems:clear("cluster/memory")
  if not self.published_by then return end
  self.published_by = nil
  -- A failure leaves a key that ends with the session.
  self.client:delete(self.key, nil, function() end)
end

local function doubt(self, reason)
  self.problems:set("cluster", reason .. "; nothing is stopped or changed. If the store is right: appmgr cluster accept;"
    .. " if it was wiped or swapped: appmgr cluster restore")
  if self.in_doubt then return publish(self) end
  self.in_doubt = true
  publish(self)
  self.watch = Watch.new({
    client = self.client, timer = self.timer, random = self.random, key = META, fallback_ms = self.fallback_ms,
    deliver = function(answer) self:take(answer) end,
  })
  self.watch:start()
end

--- The store is this node's: a doubt is over, or the node changed to its cluster before anybody had noticed.
local function settle(self, changed)
  self.problems:clear("cluster")
  if not self.in_doubt and not changed then return end
  self.in_doubt = false
  if self.watch then self.watch:stop() end
  self.watch = nil
  withdraw(self)
  self.log.info(("the store is that of cluster %s: this node follows it"):format(self:id()))
  if self.on_settled then
    -- Not now: who asked for the verdict is about to act on it.
    self.timer.after(0, self.on_settled)
  end
end

local function adopt(self, id)
  local before = self:id()
  self.state:set("cluster", id)
  self.log.info(before and ("cluster %s takes the place of %s, as it was accepted"):format(id, before)
    or ("this node belongs to cluster %s now"):format(id))
  if self.on_adopted then self.on_adopted(id) end
end

-- Public: verdicts ----------------------------------------------------------

--- The cluster this node belongs to.
-- @treturn ?string id; nil before its first join
function Cluster:id()
  return self.state:get("cluster")
end

--- Judges what stands in `meta`, and acts on the verdict (adopts, publishes, withdraws).
-- @tparam ?string value of the key, nil when it is absent
-- @treturn string "ok", "adopted", "unknown" or "mismatch"
function Cluster:check(value)
  local verdict, detail = judge(self, value)
  if verdict == "mismatch" then
    doubt(self, detail)
  elseif verdict ~= "unknown" then
    local changed = verdict == "adopted" and self:id() ~= nil
    if verdict == "adopted" then adopt(self, detail) end
    settle(self, changed)
  end
  return verdict
end

--- Takes an answer for `meta`; one that cannot be read says nothing.
function Cluster:take(answer)
  if answer.status == 404 then return self:check(nil) end
  local entries, err = self.client.entries(answer.body)
  if not entries or #entries ~= 1 then
    return self.problems:set("cluster/read", "Consul's key meta cannot be read: " .. (err or "not one entry"))
  end
  self.problems:clear("cluster/read")
  self:check(entries[1].value or "")
end

--- Reads `meta` and judges it, until there is an answer.
function Cluster:verify()
  cancel(self, "verifying")
  cancel(self, "verify_wait")
  self.verifying = self.client:get(META, nil, function(answer, err)
    self.verifying = nil
    if answer then return self:take(answer) end
    self.problems:set("cluster/read", "Consul's key meta cannot be read: " .. err.message)
    self.verify_wait = self.timer.after(self.fallback_ms, function()
      self.verify_wait = nil
      self:verify()
    end)
  end)
end

--- The session is held (again): the store may be another one than before.
function Cluster:session_held()
  self.published_by = nil
  self:verify()
end

--- The session is lost, and what was published with it.
function Cluster:session_lost()
  self.published_by = nil
  for _, name in ipairs({ "publishing", "retry", "verifying", "verify_wait" }) do cancel(self, name) end
end

--- Ends without a word to Consul.
function Cluster:stop()
  self:session_lost()
  if self.watch then self.watch:stop() end
  self.watch, self.in_doubt = nil, false
end

-- Public: accept ------------------------------------------------------------

--- The document that makes this store acceptable to agents of a cluster.
local function accepting(self, value, known)
  local document = value and read_meta(self, value) or { schema = SCHEMA, cluster = self.codec.uuid() }
  local accepted = type(document.accepted) == "table" and document.accepted or {}
  if known and known ~= document.cluster and not accepts(document, known) then accepted[#accepted + 1] = known end
  document.accepted = #accepted > 0 and self.json.array(accepted) or nil
  return document
end

local function message(text)
  return { kind = "cluster", message = text }
end

--- The operator says that the store is right: its `meta` is made to accept this node's cluster, and all agents of that
-- cluster adopt it.
-- @tparam function callback ({cluster, before} | nil, err {message})
function Cluster:accept(callback)
  local known = self:id()
  self.client:get(META, { consistent = true }, function(answer, err)
    if not answer then return callback(nil, err) end
    local entries = answer.status == 404 and {} or self.client.entries(answer.body)
    if not entries then return callback(nil, message("Consul's key meta cannot be read")) end
    local entry = entries[1] or {}
    local verdict = judge(self, entry.value)
    if verdict == "ok" then return callback({ cluster = known, before = known }) end
    local document = accepting(self, entry.value, known)
    local text = self.json.encode(document)
    self.client:put(META, text, { cas = entry.modify_index or 0 }, function(written, put_err)
      if put_err then return callback(nil, put_err) end
      if not written then return callback(nil, message("meta was changed at the same moment; try again")) end
      self:check(text)
      callback({ cluster = document.cluster, before = known })
    end)
  end)
end

-- Public: restore -----------------------------------------------------------

--- Reads the trees that a plan is made from.
local function read_store(self, callback)
  local operations = {}
  for i, tree in ipairs({ "memory/", "task/", "assignment/", META }) do operations[i] = { verb = "get-tree", key = tree } end
  self.client:transaction(self.client.encode_transaction(operations), { consistent = true }, function(answer, err)
    if not answer then return callback(nil, err) end
    local read, reason = self.client.transaction_answer(answer.body)
    if not read then return callback(nil, message(reason)) end
    if read.errors[1] then return callback(nil, message("Consul refused to read: " .. read.errors[1].message)) end
    callback(read.entries)
  end)
end

--- Sorts what was read into memories and what stands in the store.
local function sort_entries(self, entries)
  local memories, store, seen = {}, { tasks = {}, assignments = {} }, {}
  for _, entry in ipairs(entries) do
    local tree, name = entry.key:match("^(%a+)/([^/]+)$")
    if tree == "memory" then
      local memory, err = recovery.parse_memory(entry.value, self.json)
      if not memory then self.log.warn(("%s is left out: %s"):format(entry.key, err)) end
      memories[#memories + 1] = memory
      seen[memory and memory.node or ""] = true
    elseif tree == "task" then
      store.tasks[name] = true
    elseif tree == "assignment" then
      store.assignments[name] = entry.modify_index
    elseif entry.key == META then
      store.meta_index = entry.modify_index
    end
  end
  if not seen[self.node] then memories[#memories + 1] = recovery.parse_memory(own_memory(self), self.json) end
  return memories, store
end

local function make_plan(self, callback)
  read_store(self, function(entries, err)
    if not entries then return callback(nil, err) end
    local memories, store = sort_entries(self, entries)
    callback(recovery.plan(self:id(), memories, store, { json = self.json, entries = self.client.entries }))
  end)
end

--- Makes a plan to write back what the agents remember; writes nothing.
-- @tparam function callback (plan of recovery.plan | nil, err {message})
function Cluster:restore_plan(callback)
  if self.in_doubt then return make_plan(self, callback) end
  -- The store may have been wiped a moment ago, and this node not know it yet.
  self.client:get(META, { consistent = true }, function(answer, err)
    if not answer then return callback(nil, err) end
    self:take(answer)
    if self.in_doubt then return make_plan(self, callback) end
    callback(nil, message("the store is the one this node knows; there is nothing to restore"))
  end)
end

local function is_plan(plan)
  if type(plan) ~= "table" or type(plan.cluster) ~= "string" or math.type(plan.meta_index) ~= "integer" then return false end
  for _, field in ipairs({ "hosts", "tasks", "versions" }) do
    if type(plan[field]) ~= "table" then return false end
  end
  return true
end

local function write_batches(self, batches, number, callback)
  local batch = batches[number]
  if not batch then return callback(true) end
  self.client:transaction(self.client.encode_transaction(batch), nil, function(answer, err)
    if not answer then return callback(nil, err) end
    if answer.status == 200 then return write_batches(self, batches, number + 1, callback) end
    local read = self.client.transaction_answer(answer.body)
    local first = read and read.errors[1]
    callback(nil, message(("Consul changed since the plan was made (%s: %s); what was written stays, make a new plan"):format(
      first and batch[first.operation] and batch[first.operation].key or "?", first and first.message or "refused")))
  end)
end

--- The keys that need not be written again: the folder of the tasks, and versions, which never change.
local function read_existing(self, callback)
  local operations = { { verb = "get-tree", key = "task/" }, { verb = "get-tree", key = "version/" } }
  self.client:transaction(self.client.encode_transaction(operations), { consistent = true }, function(answer, err)
    local read = answer and answer.status == 200 and self.client.transaction_answer(answer.body)
    if not read then return callback(nil, err or message("Consul refused to read what stands there")) end
    local existing = {}
    for _, entry in ipairs(read.entries) do existing[entry.key] = true end
    callback(existing)
  end)
end

--- Writes a plan back. The key `meta` is the last one: until it stands, no leader acts.
-- @tparam table plan of `restore_plan`, unchanged
-- @tparam function callback ({cluster, hosts, tasks} (numbers written) | nil, err {message})
function Cluster:restore(plan, callback)
  if not is_plan(plan) then return callback(nil, message("this is no plan of cluster restore")) end
  if plan.cluster ~= self:id() then return callback(nil, message("the plan is for another cluster than this node's")) end
  read_existing(self, function(existing, err)
    if not existing then return callback(nil, err) end
    write_batches(self, recovery.batches(plan, existing, self.json), 1, function(done, why)
      if not done then return callback(nil, why) end
      self:verify()
      callback({ cluster = plan.cluster, hosts = #plan.hosts, tasks = #plan.tasks })
    end)
  end)
end

return M
