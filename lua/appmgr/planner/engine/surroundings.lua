--- Where other tasks are, as far as a task's relations ask: with whom it may be,
-- and from whom it keeps apart, or who keeps apart from it.
local relation = require("appmgr.planner.rules.relation")

local M = {}

-- How many replicas of a task are at each place, in the sense of a relation. What leaves is still there to keep away
-- from, but nothing to be with.
local function count_places(engine, rule)
  local counts, ids = {}, {}
  engine:each_holder(rule.task, function(holder)
    local site = holder.site
    if site.id and not (holder.replica.leaving and rule.kind == "with") then
      local place = relation.place(rule, site.node)
      if place then counts[place] = (counts[place] or 0) + 1 end
      ids[site.id] = true
    end
  end)
  return counts, ids
end

local function intersect(a, b)
  if not a then return b end
  for id in pairs(a) do a[id] = b[id] end
  return a
end

-- Of a task that has to do with no other: there are many.
local NONE = { rules = {}, counts = {}, denied = {}, labels = {}, one_per_node = false, all = {} }

-- Whether a relation asks to be where the task itself is, which is nowhere before the first.
local function is_first(rule, name, counts)
  return rule.kind == "with" and rule.task == name and next(counts) == nil
end

--- Looks around for a task.
-- @tparam Engine engine
-- @tparam Job job
-- @treturn table not the caller's to change: `rules` per label, and `counts` for each of them by place; `only`: ids of the
--   only nodes that it may be on, nil when it may be anywhere; `denied`: set of ids; `one_per_node`: whether it keeps apart
--   from itself; `labels`: set of those that the rules look at; `all`: every rule with its counts
function M.of(engine, job)
  if not job.kind.relations and not engine.jobs:is_kept_apart(job.name) then return NONE end
  local rules = engine:kept_apart_from(job.name)
  for _, rule in ipairs(job.kind.relations or {}) do rules[#rules + 1] = rule end
  local found = { rules = {}, counts = {}, denied = {}, labels = {}, one_per_node = false, all = {} }
  for _, rule in ipairs(rules) do
    local counts, ids = count_places(engine, rule)
    found.all[#found.all + 1] = { rule = rule, counts = counts }
    if rule.label then
      found.rules[#found.rules + 1], found.labels[rule.label] = rule, true
      found.counts[#found.rules] = counts
    elseif rule.kind == "apart_from" and rule.task == job.name then
      found.one_per_node = true
    elseif rule.kind == "apart_from" then
      for id in pairs(ids) do found.denied[id] = true end
    elseif not is_first(rule, job.name, counts) then
      found.only = intersect(found.only, ids)
    end
  end
  return found
end

--- Whether the relations per label let a task be at a node.
-- @tparam table found from `of`
-- @tparam string name the task's
-- @tparam table node
-- @treturn ?table nil when they do, else the reason
function M.rejects(found, name, node)
  for position, rule in ipairs(found.rules) do
    local place, counts = relation.place(rule, node), found.counts[position]
    if place == nil or not is_first(rule, name, counts) then
      local reason = relation.rejects(rule, place, place and counts[place] or 0)
      if reason then return reason end
    end
  end
  return nil
end

--- Everything that relations have against a node.
-- @tparam table found from `of`
-- @tparam string name the task's
-- @tparam table node
-- @treturn {table,...} reasons
function M.reasons(found, name, node)
  local list = {}
  for _, item in ipairs(found.all) do
    local place = relation.place(item.rule, node)
    if place == nil or not is_first(item.rule, name, item.counts) then
      list[#list + 1] = relation.rejects(item.rule, place, place and item.counts[place] or 0)
    end
  end
  return list
end

--- Counts a replica that the task itself has just been given.
function M.note_own(found, name, node)
  for position, rule in ipairs(found.rules) do
    local place = rule.task == name and relation.place(rule, node)
    if place then found.counts[position][place] = (found.counts[position][place] or 0) + 1 end
  end
end

return M
