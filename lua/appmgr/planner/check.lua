--- Checks a decision before anything of it is written. The engine promises all
-- of this; a promise this important is worth looking at twice.
local hosting = require("appmgr.planner.hosting")
local moves = require("appmgr.planner.moves")
local resources = require("appmgr.planner.rules.resources")

local M = {}

local function slot_name(replica)
  return replica.task .. "." .. replica.slot
end

local function index_held(site)
  local held = {}
  for _, replica in ipairs(site.held or {}) do
    local slots = held[replica.task] or {}
    held[replica.task] = slots
    slots[replica.slot] = true
  end
  return held
end

-- A replica that was not there before has to obey every rule.
local function check_new(replica, job, node, on_node)
  local task = job and job.task
  if not task then return "no such task" end
  if #task.unsupported > 0 then return "the task must stay pending" end
  if on_node > (task.replication == "all" and 1 or task.max_per_node) then return "more than max_per_node" end
  local reason = hosting.rejects_kind(job.kind, node) or hosting.rejects_task(job, node)
  return reason and "the node is no choice: " .. reason.code
end

-- What all replicas of a node take together, where something was added.
local function check_room(engine, node, replicas)
  local free, in_use = resources.available(node), {}
  for _, replica in ipairs(replicas) do
    local job = engine.jobs:get(replica.task)
    if job and job.kind then resources.subtract(free, job.kind.request) end
    for name, number in pairs(replica.ports or {}) do
      if in_use[number] then return ("%s: port %s (%d) is taken by %s"):format(slot_name(replica), name, number, in_use[number]) end
      in_use[number] = slot_name(replica)
    end
  end
  return free
end

local function is_short(free, job)
  local kind = job.kind
  for name, amount in pairs(kind.request) do
    local left = free[name] or kind.defaulted[name] and 0 or -amount
    if amount > 0 and left < 0 then return name end
  end
end

-- Remembers where a slot is; it must not be anywhere else.
local function note_place(context, replica, host)
  if replica.leaving then return nil end
  local places = context.places[replica.task] or {}
  context.places[replica.task] = places
  local other = places[replica.slot]
  places[replica.slot] = host
  return other and other ~= host and ("it is on %s too"):format(other)
end

local function check_host(engine, host, replicas, context)
  local site = engine.board.sites[host]
  local node = site and site.node
  if not node then return "unknown host " .. host end
  local held, on_node, added = index_held(site), {}, {}
  for _, replica in ipairs(replicas) do
    local name, job = replica.task, engine.jobs:get(replica.task)
    on_node[name] = (on_node[name] or 0) + 1
    local is_new = not (held[name] and held[name][replica.slot])
    local reason = is_new and check_new(replica, job, node, on_node[name])
    reason = note_place(context, replica, host) or reason
    if reason then return ("%s on %s: %s"):format(slot_name(replica), host, reason) end
    if is_new then
      added[#added + 1] = job
      if not replica.leaving then context.added[name] = true end
    end
  end
  if #added == 0 then return nil end
  local free = check_room(engine, node, replicas)
  if type(free) == "string" then return ("%s on %s"):format(free, host) end
  for _, job in ipairs(added) do
    local short = is_short(free, job)
    if short then return ("%s on %s: more %s than there is"):format(job.name, host, short) end
  end
end

-- The slots that only wait for their successors, of a move for balance.
local function moving_slots(engine, name)
  local holders, slots = {}, {}
  engine:each_holder(name, function(holder) holders[#holders + 1] = holder end)
  for holder in pairs(moves.pairs(holders)) do slots[holder.replica.slot] = true end
  return slots
end

-- How many slots a task has where they are to stay: on a drained node they only wait for their successors.
local function count_lasting(engine, name, places)
  local count, moving = 0, moving_slots(engine, name)
  for slot, host in pairs(places) do
    if not engine.board.sites[host].node.drain and not moving[slot] then count = count + 1 end
  end
  return count
end

-- A slot that was decided must not stand on a host that does not change, either; and a task must not have too many.
local function check_task(engine, changes, name, places)
  local violation
  engine:each_holder(name, function(holder)
    local host, replica = holder.site.name, holder.replica
    if changes[host] or replica.leaving then return end
    local place = places[replica.slot]
    if place then violation = ("%s on %s: it is on %s too"):format(slot_name(replica), place, host) end
    places[replica.slot] = host
  end)
  if violation then return violation end
  local job = engine.jobs:get(name)
  local wanted = job.task.replication
  if wanted ~= "all" and count_lasting(engine, name, places) > wanted then
    return ("%s: more slots than its replication"):format(name)
  end
end

--- Checks what hosts shall hold from now on.
-- @tparam Engine engine that decided
-- @tparam table changes replicas by host, see Engine.decide
-- @treturn ?string what is wrong; nil when nothing is
function M.violation(engine, changes)
  local context, hosts = { places = {}, added = {} }, {}
  for host in pairs(changes) do hosts[#hosts + 1] = host end
  table.sort(hosts)
  for _, host in ipairs(hosts) do
    local violation = check_host(engine, host, changes[host], context)
    if violation then return violation end
  end
  for name in pairs(context.added) do
    local violation = check_task(engine, changes, name, context.places[name])
    if violation then return violation end
  end
  return nil
end

return M
