--- A cluster around a planner's desk: a store, nodes that obey their assignments,
-- and a leader that feeds, decides and commits.
--
--     local cluster = require("spec.support.cluster").new{ policy = "spread" }
--     cluster:node("alpha")  cluster:task("web", { replication = 2 })
--     cluster:settle()       until nothing changes any more
--     cluster:slots()        { ["web.0"] = "alpha", … }
--
-- With `cluster.lazy = function(name) … end` a node for which it says true does not hear of its assignment in
-- this turn.
local Desk = require("appmgr.planner.desk")
local Store = require("spec.support.store")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")

local json = core.json

local Cluster = {}
Cluster.__index = Cluster

local AUDIT_SECONDS = 50
local SESSION = "11111111-2222-3333-4444-555555555555"

local function policy_source(name)
  local file = assert(io.open("policies/" .. name .. ".lua"))
  local text = file:read("a")
  file:close()
  return text
end

--- Gives the desk to a (new) leader.
-- @tparam[opt] string source of a policy, else that of the options
function Cluster:elect(source)
  self.term, self.audit_due_at = self.term + 1, self.now
  self.desk = Desk.new(core)
  self.policy_source = source or self.policy_source
  self.configured = self.desk:handle({
    type = "configure", node = "alpha", prefix = "appmgr", policy = { name = "test", hash = "0" }, limits = self.limits,
  }, self.policy_source)
  return self.configured
end

--- @tparam[opt] table options `policy` (file name), `source`, `limits`, `placement` (as of the configuration)
-- @treturn Cluster
function Cluster.new(options)
  options = options or {}
  local self = setmetatable({
    store = Store.new("appmgr/"), term = 0, snapshot = 0, now = 1700000000, nodes = {}, limits = options.limits,
    placement = options.placement or { session_ttl = 0 }, refuses = {}, waits = {}, known_cluster = nil,
    policy_source = options.source or policy_source(options.policy or "spread"),
  }, Cluster)
  self.store:put("leader", '"alpha"', SESSION)
  self:elect()
  return self
end

--- Brings a node up, or changes what it says of itself.
function Cluster:node(name, fields)
  self.nodes[name] = self.nodes[name] or { running = {}, acted_on = 0 }
  fields = fields or {}
  self.store:put("live/" .. name, json.encode({
    node = name, labels = fields.labels, local_applications = fields.local_applications, cluster = fields.cluster,
    capacity = { cpu = 4000 },
  }), "session-" .. name)
  self:run(name)
end

--- Takes a node down as a crash does.
function Cluster:lose(name)
  self.nodes[name] = nil
  self.store:delete("live/" .. name)
  self.store:delete("status/" .. name .. "/applications")
end

--- Writes a task; `fields` without content get a command of their own.
function Cluster:task(name, fields)
  local document = { content = { command = "sleep 30" }, replication = 1 }
  for key, value in pairs(fields or {}) do document[key] = value end
  self.store:put("task/" .. name, json.encode(document))
end

local function start(node, replicas)
  node.running = {}
  for _, replica in ipairs(replicas) do
    if not replica.leaving then node.running[replica.task .. "." .. replica.slot] = replica end
  end
end

--- A node writes its status: what runs, and as the key's flags which assignment it acted on.
function Cluster:report(name)
  local node, rows = self.nodes[name], {}
  for slot, replica in pairs(node.running) do
    local state = self.refuses[replica.version] and "backoff" or self.waits[replica.version] and "waiting" or "running"
    rows[slot] = { task = replica.task, slot = replica.slot, version = replica.version, state = state }
  end
  self.store:put("status/" .. name .. "/applications", json.encode(rows), "session-" .. name, node.acted_on)
end

--- A node does what its assignment says, unless its document cannot be read, and reports. Versions in `refuses` never
-- run, those in `waits` wait for their time.
function Cluster:run(name)
  local node, key = self.nodes[name], "assignment/" .. name
  local replicas = assignment.parse(self.store:value(key), json)
  if replicas then
    node.remembered, node.acted_on = replicas, self.store:index_of(key)
    start(node, replicas)
  end
  self:report(name)
end

--- A node's agent starts again and finds that its keeper has nothing. For a turn it may hear nothing and run nothing.
function Cluster:restart(name)
  local node = self.nodes[name]
  node.running, node.acted_on, node.is_starting = {}, 0, true
  self:report(name)
end

--- A node whose agent has not heard from Consul since it started runs what it remembers.
function Cluster:recall(name)
  local node = self.nodes[name]
  if node.acted_on ~= 0 or not node.remembered then return end
  start(node, node.remembered)
  self:report(name)
end

function Cluster:feed(topic, body, host)
  local status = body and 200 or 404
  self.desk:handle({ type = "feed", topic = topic, status = status, index = self.store.index, host = host }, body or "")
end

--- Feeds what the leader follows by long polls.
function Cluster:feed_trees()
  for _, topic in ipairs({ "task", "live", "node" }) do self:feed(topic, self.store:listing(topic .. "/")) end
end

--- Feeds what the leader reads when a term begins, each 50 s, and when it does not know what was written.
function Cluster:audit()
  self.audit_due_at = self.now + AUDIT_SECONDS
  self:feed("version", self.store:key_listing("version/"))
  self:feed("audit", self.store:audit())
end

--- Feeds everything but statuses.
function Cluster:feed_all()
  self:feed_trees()
  self:audit()
end

--- Asks for a decision.
-- @treturn table header
-- @treturn {string,...} batches
function Cluster:decide()
  self.snapshot = self.snapshot + 1
  local header, body = self.desk:handle({
    type = "decide", term = self.term, snapshot = self.snapshot, session = SESSION, now = self.now,
    known_cluster = self.known_cluster, new_cluster = "cluster-1", settling = self.settling, placement = self.placement,
  }, "")
  local batches, position = {}, 1
  for _, size in ipairs(header.batch_bytes) do
    batches[#batches + 1] = body:sub(position, position + size - 1)
    position = position + size
  end
  assert(position == #(body or "") + 1, "the sizes of the batches are not those of the body")
  return header, batches
end

--- Commits batches until one fails, after which the leader audits.
-- @treturn integer how many were written
function Cluster:commit(batches)
  for position, batch in ipairs(batches) do
    local status, answer = self.store:transaction(batch)
    self.desk:handle({ type = "committed", batch = position, status = status }, answer)
    if status ~= 200 then
      self.audit_due_at = self.now
      return position - 1
    end
  end
  return #batches
end

--- @treturn {string,...} the nodes that are up, sorted
function Cluster:node_names()
  local names = {}
  for name in pairs(self.nodes) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- One turn of the leader, after which the nodes do what they are told.
-- @treturn table the decision
-- @treturn integer how many batches were written
function Cluster:turn()
  self:feed_trees()
  if self.now >= self.audit_due_at then self:audit() end
  local header, batches = self:decide()
  if header.audit then self.audit_due_at = self.now end
  local written = self:commit(batches)
  for _, name in ipairs(self:node_names()) do
    if not (self.lazy and self.lazy(name)) then
      self:run(name)
    elseif self.nodes[name].is_starting then
      self.nodes[name].is_starting = false
    else
      self:recall(name)
    end
  end
  for _, host in ipairs(header.status_hosts) do
    self:feed("status", self.store:listing("status/" .. host .. "/applications"), host)
  end
  self.now = self.now + 1
  self.last = header
  return header, written
end

--- Turns until nothing is written any more; begins with an audit, which each 50 s would bring.
-- @treturn integer how many turns it took
function Cluster:settle(max)
  self.audit_due_at = self.now
  for count = 1, max or 100 do
    local header, written = self:turn()
    if written == 0 and #header.status_hosts == 0 then return count end
    if written == 0 and count > 20 then return count end
  end
  error("the cluster does not settle")
end

--- Where slots are assigned, those that leave left out.
-- @treturn table host by "task.slot"
function Cluster:slots()
  local slots = {}
  for name in pairs(self.nodes) do
    for _, replica in ipairs(assignment.parse(self.store:value("assignment/" .. name), json) or {}) do
      local slot = replica.task .. "." .. replica.slot
      assert(replica.leaving or not slots[slot], slot .. " is on two hosts")
      if not replica.leaving then slots[slot] = name end
    end
  end
  return slots
end

--- What really runs where, by the nodes' own account.
-- @treturn table list of hosts by "task.slot"
function Cluster:running()
  local running = {}
  for name, node in pairs(self.nodes) do
    for slot in pairs(node.running) do
      running[slot] = running[slot] or {}
      table.insert(running[slot], name)
    end
  end
  return running
end

--- The last decision's problem under a key.
function Cluster:problem(key)
  for _, problem in ipairs(self.last.problems) do
    if problem.key == key then return problem.text end
  end
end

return Cluster
