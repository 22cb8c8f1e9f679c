--- What every policy owes the cluster, tried on one small cluster: that it answers for every task, that the same
-- cluster gives the same answer, that deciding again changes nothing, that what may stay stays, and that no rule is
-- broken. The engine promises most of it for any policy; a policy that surprises it is found here and not at night.
local Arena = require("appmgr.workbench.arena")
local canonical = require("appmgr.planner.rules.canonical")
local random_numbers = require("appmgr.workbench.random")

local M = {}

-- A cluster this small needs next to no memory. What ends a policy is a count of its steps: that does not depend on what else
-- this machine has to do, as the time would that the planner looks at.
local LIMITS <const> = { task_memory_mb = 128, task_deadline_ms = 60000 }

local function new_arena(deps, policy, case, order)
  local arena = Arena.new(deps, policy, LIMITS)
  for name, intent in pairs(case.intents) do arena.intents[name] = intent end
  for _, name in ipairs(order(canonical.sorted_keys(case.nodes))) do arena:put_node(name, case.nodes[name]) end
  for _, name in ipairs(order(canonical.sorted_keys(case.tasks))) do
    local errors = arena:put_task(name, case.tasks[name])
    assert(#errors == 0, errors[1])
  end
  return arena
end

local function in_order(list) return list end

-- Brings the cluster to rest.
local function rest(arena)
  local fault, property = arena:settle()
  if fault then return { property = property, text = fault } end
  local first = arena:failed()[1]
  return first and {
    property = "total", outcome = first.outcome, text = ("task \"%s\": %s"):format(first.task, first.text),
  }
end

-- The first slot, by name, that is elsewhere.
local function difference(before, after, is_expected)
  local slots = {}
  for slot in pairs(before) do slots[slot] = true end
  for slot in pairs(after) do slots[slot] = true end
  for _, slot in ipairs(canonical.sorted_keys(slots)) do
    if before[slot] ~= after[slot] and not is_expected(slot) then
      return ("%s: first %s, then %s"):format(slot, before[slot] or "nowhere", after[slot] or "nowhere")
    end
  end
end

local function none() return false end

local function check_idempotent(arena)
  local _, has_changed = arena:step()
  if has_changed then return { property = "idempotent", text = "deciding again on the same cluster changes it" } end
end

local function check_deterministic(deps, policy, case, places)
  local random = random_numbers.new(case.seed)
  local other = new_arena(deps, policy, case, function(list) return random_numbers.shuffled(random, list) end)
  local fault = rest(other)
  if fault then return fault end
  local text = difference(places, other:places(), none)
  return text and { property = "deterministic", text = "heard of in another order, " .. text }
end

-- A node is lost: only what it ran may be elsewhere, or what had no place before.
local function check_loss(arena, case)
  local names = canonical.sorted_keys(case.nodes)
  local lost, before = names[case.seed % #names + 1], arena:places()
  arena:drop_node(lost)
  local fault = rest(arena)
  if fault then return fault end
  local text = difference(before, arena:places(), function(slot) return before[slot] == lost or before[slot] == nil end)
  return text and { property = "minimal moves", text = ("when %s is lost, %s"):format(lost, text) }
end

-- A node joins: nothing moves, only what had no place may get one.
local function check_join(arena)
  local before = arena:places()
  arena:put_node("n99", { labels = { zone = "a", arch = "x86_64" }, capacity = { cpu = 8000, memory_mb = 8192 } })
  local fault = rest(arena)
  if fault then return fault end
  local text = difference(before, arena:places(), function(slot) return before[slot] == nil end)
  return text and { property = "minimal moves", text = "when a node joins, " .. text }
end

--- Tries a policy on one cluster.
-- @tparam table deps see Arena.new
-- @tparam Policy policy
-- @tparam table case see cases.random
-- @treturn ?table `property` that does not hold and `text`, how; `outcome` where the policy failed; nil when all hold
function M.try(deps, policy, case)
  local arena = new_arena(deps, policy, case, in_order)
  -- The same one again: what it may have kept from the first time must not show.
  local fault = rest(arena) or check_idempotent(arena)
    or check_deterministic(deps, policy, case, arena:places())
  if fault or not next(case.nodes) then return fault end
  return check_loss(arena, case) or check_join(arena)
end

return M
