--- One node as the engine keeps it: what it is, what the store says it holds,
-- and what a decision changes in that. Its numbers are its class, see classes.lua.
local ports_rule = require("appmgr.planner.rules.ports")
local record = require("appmgr.planner.record")

local Site = {}
Site.__index = Site

--- @tparam string name
-- @treturn Site `name`; `node` (nil while it is not alive), `status`, `held` (replicas by the store's account; false when
--   they cannot be read), `index`, `marks`; `view` (replicas that all counts are about); `id` (its place in the order of
--   names, nil while it is not alive); `class`; `in_use` (how often each port is); `edits` and `adds` (holders) of the
--   decision that is being made
function Site.new(name)
  return setmetatable({ name = name, view = {}, in_use = {}, marks = {}, index = 0 }, Site)
end

local NOTHING = {}

-- What a node's record shows, made when the policy first looks at it: most look at little, and there are thousands of nodes.
local shown = {
  __index = function(values, key)
    local site = values.site
    if key == "position" then return values.position_of(site) end
    if key == "name" then return site.node.name end
    return record.map(site.node[key] or NOTHING, true)
  end,
}

--- The record a policy sees, made when it is first looked at.
-- @tparam Policy policy
-- @tparam function position (site) → from 0 in the order of names; asked when somebody looks at it
-- @treturn table
function Site:introduce(policy, position)
  self.record, self.visible = policy.new_node(setmetatable({ site = self, position_of = position }, shown))
  self.visible.task_replicas = policy.reads["node.task_replicas"] and 0 or nil
  return self.record
end

local function change_count(in_use, number, change)
  local count = (in_use[number] or 0) + change
  in_use[number] = count > 0 and count or nil
end

--- Counts ports.
-- @tparam table ports name → number
-- @tparam integer change 1 or -1
function Site:count_ports(ports, change)
  for _, number in pairs(ports) do change_count(self.in_use, number, change) end
end

--- Gives a replica that is there the ports that its task wants now; it keeps those that it may keep.
-- @tparam {table,...} wanted see rules/ports.lua
-- @tparam string salt names the replica
-- @tparam ?table have name → number, as it is
-- @treturn[1] table name → number
-- @treturn[2] nil when that cannot be: it has what it had
-- @treturn[2] table the reason
function Site:renew_ports(wanted, salt, have)
  self:count_ports(have or {}, -1)
  local given, reason = ports_rule.assign(wanted, self.in_use, self.node.ports, salt, have)
  self:count_ports(given or have or {}, 1)
  return given, reason
end

--- Counts no ports but those that the node keeps for itself.
function Site:clear_ports()
  self.in_use = {}
  for number in pairs(self.node and self.node.reserved_ports or {}) do change_count(self.in_use, number, 1) end
end

--- What is left of what the store says it holds, in the same order.
-- @treturn {replica,...} the caller's to change
function Site:kept()
  local list, edits = {}, self.edits
  if not edits then return table.move(self.view, 1, #self.view, 1, list) end
  for _, replica in ipairs(self.view) do
    local now = replica
    if edits[replica] ~= nil then now = edits[replica] end
    if now then list[#list + 1] = now end
  end
  return list
end

--- What it holds with the changes of the decision that is being made.
-- @treturn {replica,...} what was added comes last
function Site:current()
  local list = self:kept()
  for _, holder in ipairs(self.adds or {}) do list[#list + 1] = holder.replica end
  return list
end

return Site
