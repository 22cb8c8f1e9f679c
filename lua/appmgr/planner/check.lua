--- Checks a decision before anything of it is written. The engine promises all
-- of this; a promise this important is worth looking at twice.
--
-- It takes nothing from the engine but what it was told. A large host may get one replica more, so what is as it was is
-- told by its table, and passed over: only what a decision touches is looked at in full.
local hosting = require("appmgr.planner.hosting")
local moves = require("appmgr.planner.moves")
local resources = require("appmgr.planner.rules.resources")

local M = {}

local NOTHING = {}

local function slot_name(replica)
  return replica.task .. "." .. replica.slot
end

-- Where a list has a slot, or 0. It is looked for at `at` first, as both lists are in the same order.
local function find_slot(list, at, replica)
  local count, task, slot = #list, replica.task, replica.slot
  for distance = 0, count - 1 do
    local position = (at + distance - 1) % count + 1
    local other = list[position]
    if other.task == task and other.slot == slot then return position end
  end
  return 0
end

-- What a host gets that it did not have; notes the tasks of which it has anything else than before.
local function compare(context, held, replicas)
  local added, at = {}, 1
  for position = 1, #replicas do
    local replica = replicas[position]
    if held[at] == replica then
      at = at + 1
    else
      local found = find_slot(held, at, replica)
      if found == 0 then added[#added + 1] = replica else at = found + 1 end
      context.touched[replica.task] = true
      if found == 0 and not replica.leaving then context.added[replica.task] = true end
    end
  end
  return added
end

-- How many replicas a host has of each task that it gets something of.
local function count_on_host(added, replicas)
  local counts = {}
  for _, replica in ipairs(added) do counts[replica.task] = 0 end
  for position = 1, #replicas do
    local task = replicas[position].task
    local count = counts[task]
    if count then counts[task] = count + 1 end
  end
  return counts
end

-- A replica that was not there before has to obey every rule.
local function check_new(context, replica, node, on_host)
  local job = context.jobs[replica.task]
  local task = job and job.task
  if not task then return "no such task" end
  if #task.unsupported > 0 then return "the task must stay pending" end
  if on_host > (task.replication == "all" and 1 or task.max_per_node) then return "more than max_per_node" end
  local reason = context.refusal or job.kind.constraint.check(node) or hosting.rejects_task(job, node)
  return reason and "the node is no choice: " .. reason.code
end

-- All replicas of a host have ports of their own.
local function check_ports(replicas)
  local in_use = {}
  for position = 1, #replicas do
    local replica = replicas[position]
    for name, number in pairs(replica.ports or NOTHING) do
      if in_use[number] then return ("%s: port %s (%d) is taken by %s"):format(slot_name(replica), name, number, in_use[number]) end
      in_use[number] = slot_name(replica)
    end
  end
end

-- What all replicas of a host leave free together.
local function free_beside(context, node, replicas)
  local free, jobs = resources.available(node), context.jobs
  for position = 1, #replicas do
    local job = jobs[replicas[position].task]
    local kind = job and job.kind
    local names, amounts = kind and kind.names or NOTHING, kind and kind.amounts
    for at = 1, #names do
      local have = free[names[at]]
      if have then free[names[at]] = have - amounts[at] end
    end
  end
  return free
end

local function is_short(free, kind)
  for name, amount in pairs(kind.request) do
    local left = free[name] or kind.defaulted[name] and 0 or -amount
    if amount > 0 and left < 0 then return name end
  end
end

-- Whether there is room, where something was added.
local function check_room(context, node, replicas, added)
  local free, looked_at = free_beside(context, node, replicas), {}
  for _, replica in ipairs(added) do
    local kind = context.jobs[replica.task].kind
    local short = not looked_at[kind] and is_short(free, kind)
    if short then return replica, short end
    looked_at[kind] = true
  end
end

local function check_host(context, host, replicas)
  local site = context.engine.board.sites[host]
  local node = site and site.node
  if not node then return "unknown host " .. host end
  local added = compare(context, site.held or NOTHING, replicas)
  if #added == 0 then return nil end
  local on_host = count_on_host(added, replicas)
  context.refusal = hosting.rejects_all(node)
  for _, replica in ipairs(added) do
    local reason = check_new(context, replica, node, on_host[replica.task])
    if reason then return ("%s on %s: %s"):format(slot_name(replica), host, reason) end
  end
  local taken = check_ports(replicas)
  if taken then return ("%s on %s"):format(taken, host) end
  local replica, short = check_room(context, node, replicas, added)
  if replica then return ("%s on %s: more %s than there is"):format(replica.task, host, short) end
end

-- Remembers where the slots of tasks are that the decision touches; none must be anywhere else.
local function note_places(context, host, replicas)
  local touched, places = context.touched, context.places
  for position = 1, #replicas do
    local replica = replicas[position]
    local task, slot = replica.task, replica.slot
    if touched[task] and not replica.leaving then
      local of_task = places[task]
      if not of_task then
        of_task = {}
        places[task] = of_task
      end
      local other = of_task[slot]
      if other and other ~= host then return ("%s on %s: it is on %s too"):format(slot_name(replica), host, other) end
      of_task[slot] = host
    end
  end
end

-- The slots that only wait for their successors, of a move for balance.
local function moving_slots(jobs, job)
  local slots = {}
  for holder in pairs(moves.pairs(jobs:holders(job))) do slots[holder.replica.slot] = true end
  return slots
end

-- How many slots a task has where they are to stay: on a drained node they only wait for their successors.
local function count_lasting(sites, places, moving)
  local count = 0
  for slot, host in pairs(places) do
    if not sites[host].node.drain and not moving[slot] then count = count + 1 end
  end
  return count
end

local function has_too_many(engine, job, places, wanted)
  local sites = engine.board.sites
  -- Few tasks have anything that moves, and only those have more than they want.
  return count_lasting(sites, places, NOTHING) > wanted and count_lasting(sites, places, moving_slots(engine.jobs, job)) > wanted
end

-- A slot that was decided must not stand on a host that does not change, either; and a task must not have too many.
local function check_task(engine, changes, name, places)
  local job = engine.jobs:get(name)
  for _, holder in ipairs(engine.jobs:holders(job)) do
    local host, replica = holder.site.name, holder.replica
    if not changes[host] and not replica.leaving then
      local place = places[replica.slot]
      if place then return ("%s on %s: it is on %s too"):format(slot_name(replica), place, host) end
      places[replica.slot] = host
    end
  end
  local wanted = job.task.replication
  if wanted ~= "all" and has_too_many(engine, job, places, wanted) then
    return ("%s: more slots than its replication"):format(name)
  end
end

--- Checks what hosts shall hold from now on.
-- @tparam Engine engine that decided
-- @tparam table changes replicas by host, see Engine.decide
-- @treturn ?string what is wrong; nil when nothing is
function M.violation(engine, changes)
  local context, hosts = { engine = engine, jobs = engine.jobs.by_name, places = {}, touched = {}, added = {} }, {}
  for host in pairs(changes) do hosts[#hosts + 1] = host end
  table.sort(hosts)
  for _, check in ipairs({ check_host, note_places }) do
    for _, host in ipairs(hosts) do
      local violation = check(context, host, changes[host])
      if violation then return violation end
    end
  end
  for name in pairs(context.added) do
    local violation = check_task(engine, changes, name, context.places[name])
    if violation then return violation end
  end
  return nil
end

return M
