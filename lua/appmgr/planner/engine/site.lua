--- One node as the engine keeps it: what it is, what it holds, and what room is
-- left. Counts follow each change at once; they never have to be added up anew.
local assignment = require("appmgr.assignment")
local record = require("appmgr.planner.record")
local resources = require("appmgr.planner.rules.resources")

local Site = {}
Site.__index = Site

--- @tparam string name
-- @treturn Site `name`; `node` (nil while it is not alive), `status`, `held` (replicas by the store's account; false when
--   they cannot be read), `index`, `marks`; `view` (replicas that all counts are about); `id` (its place in the order of
--   names, nil while it is not alive); `total` (replicas, also those that leave), `replicas` (those that stay), `used` and
--   `free` (resources), `in_use` (ports); `edits` and `adds` of the decision that is being made
function Site.new(name)
  return setmetatable({
    name = name, view = {}, total = 0, replicas = 0, used = {}, free = {}, in_use = {}, marks = {}, index = 0,
  }, Site)
end

local function change_count(in_use, number, change)
  local count = (in_use[number] or 0) + change
  in_use[number] = count > 0 and count or nil
end

-- Ports that the node keeps for itself are in use.
local function change_reserved(self, change)
  for number in pairs(self.node and self.node.reserved_ports or {}) do change_count(self.in_use, number, change) end
end

--- Takes a node's description over; nil when it is not alive any more.
-- @tparam ?table node
function Site:describe(node)
  change_reserved(self, -1)
  self.node, self.available = node, node and resources.available(node) or {}
  change_reserved(self, 1)
  self:refill()
end

--- Works out anew what is free.
function Site:refill()
  local free = self.free
  for name in pairs(free) do free[name] = nil end
  for name, amount in pairs(self.available) do free[name] = amount - (self.used[name] or 0) end
end

--- Makes the record a policy sees.
-- @tparam ?Policy policy
-- @tparam function position (site) → from 0 in the order of names; asked when somebody looks at it
function Site:introduce(policy, position)
  self.record, self.visible = nil, nil
  if not policy then return end
  local node = self.node
  self.record, self.visible = policy.new_node(setmetatable({
    name = node.name, labels = record.map(node.labels, true), capacity = record.map(node.capacity, true),
    load = record.map(node.load or {}, true),
  }, { __index = function(_, key) return key == "position" and position(self) or nil end }))
  local visible, reads = self.visible, policy.reads
  visible.replicas = reads["node.replicas"] and self.replicas or nil
  visible.task_replicas = reads["node.task_replicas"] and 0 or nil
  visible.used = reads["node.used"] and record.map(self.used) or nil
  visible.free = reads["node.free"] and record.map(self.free) or nil
  self.shows_replicas, self.shows_task_replicas = reads["node.replicas"] == true, reads["node.task_replicas"] == true
end

local function change_room(self, kind, sign)
  local used, free, amounts = self.used, self.free, kind.amounts
  for position, name in ipairs(kind.names) do
    local amount = sign * amounts[position]
    used[name] = (used[name] or 0) + amount
    local have = free[name]
    if have then free[name] = have - amount end
  end
end

local function change_ports(self, ports, sign)
  for _, number in pairs(ports) do change_count(self.in_use, number, sign) end
end

--- Counts a replica.
-- @tparam ?Kind kind of its task; nil when that is not known any more
-- @tparam ?table ports name → number
-- @tparam boolean stays whether it is to stay
function Site:occupy(kind, ports, stays)
  self.total = self.total + 1
  if stays then self:count_staying(1) end
  if kind then change_room(self, kind, 1) end
  if ports then change_ports(self, ports, 1) end
end

--- Undoes `occupy`.
function Site:vacate(kind, ports, stays)
  self.total = self.total - 1
  if stays then self:count_staying(-1) end
  if kind then change_room(self, kind, -1) end
  if ports then change_ports(self, ports, -1) end
end

--- Counts replicas that stay from now on.
-- @tparam integer count negative: that leave from now on
function Site:count_staying(count)
  self.replicas = self.replicas + count
  if self.shows_replicas then self.visible.replicas = self.replicas end
end

--- What it holds with the changes of the decision that is being made.
-- @treturn {replica,...} sorted
function Site:current()
  local list, edits = {}, self.edits
  for _, replica in ipairs(self.view) do
    local now = replica
    if edits and edits[replica] ~= nil then now = edits[replica] end
    if now then list[#list + 1] = now end
  end
  if self.adds then
    for _, replica in ipairs(self.adds) do list[#list + 1] = replica end
    table.sort(list, assignment.before)
  end
  return list
end

--- Starts all counts from nothing.
function Site:clear()
  self.total, self.in_use = 0, {}
  change_reserved(self, 1)
  self:count_staying(-self.replicas)
  -- The policy's record looks at this very table.
  for name in pairs(self.used) do self.used[name] = nil end
  self:refill()
end

return Site
