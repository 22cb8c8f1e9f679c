--- Whether the store can be trusted enough to change anything in it.
local M = {}

-- Live nodes that know this store, and those that know another one.
local function count_nodes(nodes, knows)
  local agree, disagree = 0, {}
  for _, node in ipairs(nodes) do
    if node.cluster then
      if knows(node.cluster) then
        agree = agree + 1
      else
        disagree[#disagree + 1] = node.name
      end
    end
  end
  return agree, disagree
end

local ADVICE = "; nothing is changed. If the store is right: appmgr cluster accept; "
  .. "if it was wiped or swapped: appmgr cluster restore"

local function without_meta(known, nodes)
  local _, disagree = count_nodes(nodes, function() return false end)
  if known then
    return "the store has no meta, but this agent knows cluster " .. known .. ADVICE
  end
  if #disagree > 0 then
    return ("the store has no meta, but %s knows a cluster"):format(table.concat(disagree, ", ")) .. ADVICE
  end
end

local function missing(model)
  local waiting = {}
  for _, topic in ipairs({ "task", "live", "node", "version", "audit" }) do
    if not model:has_read(topic) then waiting[#waiting + 1] = topic end
  end
  if #waiting > 0 then
    return "not everything has been read yet: " .. table.concat(waiting, ", ")
  end
end

--- Looks for a reason to change nothing.
-- @tparam table model the model
-- @tparam {node,...} nodes the live nodes
-- @tparam ?string known the cluster id this agent remembers
-- @treturn ?string why everything is frozen; nil when it is not
function M.frozen(model, nodes, known)
  local reason = missing(model)
  if reason then return reason end
  if #nodes == 0 then
    return "live/ lists no node, not even this one; nothing is changed until it does"
  end
  local holdings = model.holdings
  if holdings.meta_error then
    return holdings.meta_error .. ADVICE
  end
  local meta = holdings.meta
  if not meta then
    return without_meta(known, nodes)
  end
  local function knows(id) return id == meta.cluster or meta.accepted[id] == true end
  if known and not knows(known) then
    return ("the store belongs to cluster %s, this agent knows %s"):format(meta.cluster, known) .. ADVICE
  end
  local agree, disagree = count_nodes(nodes, knows)
  if #disagree > agree then
    return ("the store belongs to cluster %s, but %s knows another one"):format(
      meta.cluster, table.concat(disagree, ", ")) .. ADVICE
  end
end

--- Names the hosts that have replicas, or an assignment that cannot be read, and are not alive. Right after an outage
-- that ended all sessions they are more likely late than dead, and what they run goes on.
-- @tparam table model the model
-- @tparam {node,...} nodes the live nodes
-- @treturn ?string whom to wait for, in a sentence; nil when everybody is there
function M.waiting(model, nodes)
  local live, late = {}, {}
  for _, node in ipairs(nodes) do live[node.name] = true end
  local holdings = model.holdings
  for host in pairs(holdings.store) do
    local replicas = holdings.decided[host]
    if not live[host] and (holdings.unreadable[host] or replicas and #replicas > 0) then late[#late + 1] = host end
  end
  if #late == 0 then return nil end
  table.sort(late)
  return table.concat(late, ", ") .. ": not back after an outage that lasted longer than a Consul session; "
    .. "nothing is moved until they are, or until one TTL has passed"
end

--- Marks nodes that belong to another cluster: they would not follow this one.
-- @tparam table model the model
-- @tparam {node,...} nodes gets `stranger` = true
function M.mark_strangers(model, nodes)
  local meta = model.holdings.meta
  for _, node in ipairs(nodes) do
    node.stranger = meta ~= nil and node.cluster ~= nil and node.cluster ~= meta.cluster
      and not meta.accepted[node.cluster]
  end
end

return M
