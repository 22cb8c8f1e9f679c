--- Room for what is important: where a task finds none, replicas of tasks with
-- a lower priority give theirs up, if the policy asks for that.
--
-- Never for nothing: only on a node where the task then fits, and no replica more than that takes. Who has to go is told
-- to in the assignment (`preempted`), so that every leader knows it; until they have gone the room is kept for the task.
local placement = require("appmgr.planner.placement")
local ports = require("appmgr.planner.rules.ports")
local resources = require("appmgr.planner.rules.resources")
local surroundings = require("appmgr.planner.engine.surroundings")

local M = {}

-- What a site would have if these replicas were gone. What leaves already is as good as gone.
local function room_without(run, site, gone)
  local free, in_use, total = {}, {}, site.class.total
  for name, amount in pairs(site.class.free) do free[name] = amount end
  for number, count in pairs(site.in_use) do in_use[number] = count end
  for replica in pairs(gone) do
    local job = run.jobs:get(replica.task)
    if job.kind then resources.add(free, job.kind.request) end
    for _, number in pairs(replica.ports or {}) do
      in_use[number] = in_use[number] > 1 and in_use[number] - 1 or nil
    end
    total = total - 1
  end
  return free, in_use, total
end

local function fits_without(run, job, site, gone)
  local free, in_use, total = room_without(run, site, gone)
  local kind = job.kind
  if total >= run.limits.max_replicas_per_node then return false end
  if resources.fits(free, kind.request, kind.defaulted) then return false end
  return not kind.ports or ports.assign(kind.ports, in_use, site.node.ports, job.name) ~= nil
end

-- Who may have to go: the lowest priority first, the youngest first.
local function less_important(a, b)
  if a.priority ~= b.priority then return a.priority < b.priority end
  if a.replica.since ~= b.replica.since then return a.replica.since > b.replica.since end
  if a.replica.task ~= b.replica.task then return a.replica.task < b.replica.task end
  return a.replica.slot > b.replica.slot
end

-- What leaves a site already, and who else might.
local function sort_out(run, job, site)
  local leaving, candidates = {}, {}
  for _, replica in ipairs(site:current()) do
    local other = run.jobs:get(replica.task)
    if replica.leaving then
      leaving[replica] = true
    elseif other.task and #other.task.unsupported == 0 and other.task.priority < job.task.priority then
      candidates[#candidates + 1] = { replica = replica, priority = other.task.priority, job = other }
    end
  end
  table.sort(candidates, less_important)
  return leaving, candidates
end

-- The fewest that have to go; nil when it would not help if all did.
local function victims_on(run, job, site, leaving, candidates)
  local gone, chosen = leaving, {}
  for _, candidate in ipairs(candidates) do
    if fits_without(run, job, site, gone) then break end
    chosen[#chosen + 1], gone[candidate.replica] = candidate, true
  end
  if not fits_without(run, job, site, gone) then return nil end
  local needed = {}
  for position = #chosen, 1, -1 do
    local candidate = chosen[position]
    gone[candidate.replica] = nil
    if not fits_without(run, job, site, gone) then
      gone[candidate.replica] = true
      table.insert(needed, 1, candidate)
    end
  end
  return needed
end

local function cheaper(a, b)
  if a.worst ~= b.worst then return a.worst < b.worst end
  if #a.victims ~= #b.victims then return #a.victims < #b.victims end
  return a.site.id < b.site.id
end

-- Nodes where the task fits after some have gone, those that cost least first.
local function offers(run, job, sites)
  local list = {}
  for _, site in ipairs(sites) do
    local leaving, candidates = sort_out(run, job, site)
    if next(leaving) or #candidates > 0 then
      local victims = victims_on(run, job, site, leaving, candidates)
      local worst = -math.huge
      for _, victim in ipairs(victims or {}) do worst = math.max(worst, victim.priority) end
      if victims then list[#list + 1] = { site = site, victims = victims, worst = worst } end
    end
  end
  table.sort(list, cheaper)
  return list
end

--- Whether anybody is less important than a task.
local function has_lower(run, job)
  if not run.lowest_priority then
    run.lowest_priority = math.huge
    for _, other in pairs(run.jobs.by_name) do
      if other.task and other.holder_count > 0 then
        run.lowest_priority = math.min(run.lowest_priority, other.task.priority)
      end
    end
  end
  return run.lowest_priority < job.task.priority
end

-- Nodes that have nothing against the task but, maybe, their room.
local function sites_for(run, job, state)
  local board, sites = run.board, {}
  local around, answers = surroundings.of(run.engine, job), board:answers(job.kind)
  local denied = board:denied(job, around.denied)
  local own, limit = placement.count_own(state), around.one_per_node and 1 or placement.limit_of(job.task)
  for id = 1, board.count do
    local answer = answers[id]
    if answer == nil then answer = board:ask(answers, job.kind, id) end
    if answer and not denied[id] and (own[id] or 0) < limit and (not around.only or around.only[id]) then
      local site = board.by_id[id]
      if not surroundings.rejects(around, job.name, site.node) then sites[#sites + 1] = site end
    end
  end
  return sites
end

-- Runs within the limits of the policy.
local function ask_filter(board, asker, sites, accepted)
  for _, site in ipairs(sites) do
    if asker.filter(asker.task, board:show(site), asker.cluster, asker.options) == true then accepted[#accepted + 1] = site end
  end
  return true
end

local function accepted_by_policy(run, job, sites)
  if not run.policy.filter then return sites end
  local accepted = {}
  local outcome = run.policy:run(job.name, ask_filter, placement.limits(run, 1), run.board, placement.asker(run, job),
    sites, accepted)
  return outcome == "ok" and accepted or {}
end

--- Makes room for the slots of a task that found none.
-- @tparam table run see engine; `reserve(site, kind)` keeps room during this decision, `evict(job, replica, site)`
-- @tparam Job job
-- @tparam table state its state, with `pending`; gets `waiting`
function M.make_room(run, job, state)
  if not has_lower(run, job) then return end
  local sites = accepted_by_policy(run, job, sites_for(run, job, state))
  for position, offer in ipairs(offers(run, job, sites)) do
    if position > #state.pending then return end
    for _, victim in ipairs(offer.victims) do run.evict(victim.job, victim.replica, offer.site) end
    run.reserve(offer.site, job.kind)
    state.waiting = state.waiting or {}
    table.insert(state.waiting, { code = "making_room", args = { slot = state.pending[position], node = offer.site.name } })
  end
end

return M
