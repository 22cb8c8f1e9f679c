--- Feeds an engine with what is new in a snapshot of the model.
local Engine = require("appmgr.planner.engine")

local Deltas = {}
Deltas.__index = Deltas

--- @tparam Engine engine that nobody else feeds
-- @treturn Deltas
function Deltas.new(engine)
  return setmetatable({ engine = engine, nodes = {}, tasks = {}, hosts = {} }, Deltas)
end

local function same(a, b)
  if a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  for key, value in pairs(a) do
    if not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

-- Statuses come and go; they are no part of what a node is.
local function same_node(a, b)
  if not a then return false end
  for key, value in pairs(a) do
    if key ~= "status" and not same(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if key ~= "status" and a[key] == nil then return false end
  end
  return true
end

-- The snapshot's records may be changed when the next one is made.
local function copy(node)
  local result = {}
  for key, value in pairs(node) do
    if key ~= "status" then result[key] = value end
  end
  return result
end

local function feed_nodes(self, nodes)
  local known = self.nodes
  self.nodes = {}
  for _, node in ipairs(nodes) do
    local before = known[node.name]
    if not same_node(before, node) then
      before = copy(node)
      self.engine:put_node(before)
    end
    self.nodes[node.name], known[node.name] = before, nil
    self.engine:put_status(node.name, node.status)
  end
  for name in pairs(known) do
    self.engine:drop_node(name)
    self.engine:put_status(name, nil)
  end
end

local function feed_tasks(self, entries)
  local known = self.tasks
  self.tasks = {}
  for _, entry in ipairs(entries) do
    self.tasks[entry.name], known[entry.name] = true, nil
    self.engine:put_task(entry)
  end
  for name in pairs(known) do self.engine:drop_task(name) end
end

local function feed_held(self, snapshot)
  local known = self.hosts
  self.hosts = {}
  local function feed(host, replicas)
    self.hosts[host], known[host] = true, nil
    self.engine:put_held(host, replicas, snapshot.assignment_index[host], snapshot.marks[host])
  end
  for host in pairs(snapshot.unreadable) do feed(host, false) end
  for host, replicas in pairs(snapshot.held) do
    if not snapshot.unreadable[host] then feed(host, replicas) end
  end
  for host in pairs(known) do self.engine:put_held(host, nil) end
end

--- Tells the engine what differs from the last snapshot.
-- @tparam table snapshot see Model:snapshot
function Deltas:feed(snapshot)
  feed_nodes(self, snapshot.nodes)
  feed_tasks(self, snapshot.tasks)
  feed_held(self, snapshot)
end

--- Decides once, with an engine that begins with this snapshot.
-- @tparam table snapshot see Model:snapshot
-- @tparam ?Policy policy
-- @tparam table options see Engine.new
-- @treturn table see Engine.decide; and `desired`: what each host shall hold, whether that changes or not
-- @treturn Engine
function Deltas.decide_once(snapshot, policy, options)
  local engine = Engine.new({ policy = policy, policy_error = options.policy_error, limits = options.limits })
  Deltas.new(engine):feed(snapshot)
  local result = engine:decide(snapshot.now)
  result.desired = {}
  for _, node in ipairs(snapshot.nodes) do
    if not snapshot.unreadable[node.name] then
      result.desired[node.name] = result.changes[node.name] or snapshot.held[node.name] or {}
    end
  end
  return result, engine
end

return Deltas
