--- An engine in a world where all goes well: the store takes each decision at once, nodes do at once what they are told, and
-- show it. What it ends in can be looked at before anything of it happens.
local Nodes = require("appmgr.planner.nodes")

local Forward = {}
Forward.__index = Forward

--- @tparam Engine engine that nobody else feeds with what nodes hold and show
-- @tparam[opt] table snapshot what it was fed with, see Model:snapshot: `held`, `assignment_index`, `marks`, `nodes`
-- @treturn Forward `held`: replicas by host, as decided
function Forward.new(engine, snapshot)
  local self = setmetatable({ engine = engine, held = {}, index = {}, marks = {}, watched = {}, gone = {}, last_index = 0 }, Forward)
  for _, node in ipairs(snapshot and snapshot.nodes or {}) do self.gone[node.name] = node.gone end
  for host, replicas in pairs(snapshot and snapshot.held or {}) do
    self.held[host], self.index[host] = replicas, snapshot.assignment_index[host] or 0
    self.marks[host] = snapshot.marks[host]
    self.last_index = math.max(self.last_index, self.index[host])
  end
  return self
end

--- Gives a host what it shall hold from now on.
-- @tparam string host
-- @tparam ?{replica,...} replicas nil: its assignment is deleted
function Forward:hold(host, replicas)
  local index, marks = self.last_index + 1, {}
  local known = self.marks[host] or {}
  for _, replica in ipairs(replicas or {}) do
    local id = replica.leaving and Nodes.slot_id(replica.task, replica.slot)
    if id then marks[id] = known[id] or index end
  end
  self.last_index, self.held[host], self.index[host], self.marks[host] = index, replicas, index, marks
  self.engine:put_held(host, replicas, index, marks)
end

-- A node does what its assignment says, and says so.
local function report(self, host)
  local rows = {}
  for _, replica in ipairs(self.held[host] or {}) do
    if not replica.leaving then
      local row = { task = replica.task, slot = replica.slot, version = replica.version, state = "running" }
      rows[Nodes.slot_id(replica.task, replica.slot)] = row
    end
  end
  self.engine:put_status(host, { acted_on = self.index[host] or 0, rows = rows })
end

--- Lets a decision take effect, and the nodes that it waits for say what they do.
-- @tparam table result see Engine:decide
-- @treturn boolean whether it changed anything
function Forward:take(result)
  for host, replicas in pairs(result.changes) do self:hold(host, replicas) end
  for host in pairs(self.watched) do
    if not result.status_hosts[host] then self.engine:put_status(host, nil) end
  end
  self.watched = result.status_hosts
  for host in pairs(result.status_hosts) do
    if not self.gone[host] then report(self, host) end
  end
  return next(result.changes) ~= nil
end

return Forward
