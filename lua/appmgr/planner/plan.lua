--- What would change: a decision as a diff per node and per task, for people and programs; nothing is written.
local moves = require("appmgr.planner.moves")
local reasons = require("appmgr.planner.reasons")

local M = {}

local function slot_id(replica)
  return replica.task .. "." .. replica.slot
end

local function index(replicas)
  local map = {}
  for _, replica in ipairs(replicas or {}) do map[slot_id(replica)] = replica end
  return map
end

-- What one change does to one host, in the order of slots; `end_word` is what becomes of a replica that is there no more.
local function steps_of(change, before, end_word)
  local old, new, steps = index(before), index(change.replicas), {}
  local function add(replica, what, version)
    steps[#steps + 1] = {
      node = change.host, task = replica.task, slot = replica.slot, step = what, version = version,
      why = what == "start" and replica.moved and moves.text(replica.moved) or nil,
    }
  end
  for _, replica in ipairs(change.replicas or {}) do
    local known = old[slot_id(replica)]
    if not known then
      add(replica, "start", replica.version)
    elseif replica.leaving and not known.leaving then
      add(replica, "stop")
    elseif known.leaving and not replica.leaving then
      add(replica, "keep")
    elseif known.version ~= replica.version then
      add(replica, "update", replica.version)
    end
  end
  for _, replica in ipairs(before or {}) do
    if not new[slot_id(replica)] then add(replica, end_word) end
  end
  return steps
end

local function grouped(steps, field, other)
  local by_name, names = {}, {}
  for _, step in ipairs(steps) do
    local name = step[field]
    if not by_name[name] then
      by_name[name] = {}
      names[#names + 1] = name
    end
    table.insert(by_name[name], step)
  end
  table.sort(names)
  for _, list in pairs(by_name) do
    table.sort(list, function(a, b)
      if a[other] ~= b[other] then return a[other] < b[other] end
      return a.slot < b.slot
    end)
  end
  return names, by_name
end

local function rows_of(steps, field, other, json)
  local names, by_name = grouped(steps, field, other)
  local rows = {}
  for position, name in ipairs(names) do rows[position] = { name = name, steps = json.array(by_name[name]) } end
  return json.array(rows)
end

-- What of the tasks would be pending afterwards, and why.
local function pending_of(engine, nodes, json)
  local list = {}
  for _, name in ipairs(engine:unsettled()) do
    local state = engine:task_state(name)
    list[#list + 1] = { name = name, pending = #state.pending, reason = reasons.sentence(state.reasons, nodes) }
  end
  return json.array(list)
end

-- The highest index of what operators and nodes said: whoever writes anything of it raises it.
local function index_of(model)
  local highest = 0
  for _, topic in ipairs({ "task", "live", "node" }) do highest = math.max(highest, model.indexes[topic] or 0) end
  return highest
end

--- Builds the plan.
-- @tparam Model model
-- @tparam table snapshot
-- @tparam Engine engine that has decided on it
-- @tparam {change,...} changes see diff.changes
-- @tparam table json appmgr.json
-- @treturn table `nodes` and `tasks`: arrays of {`name`, `steps`}, each step {`node`, `task`, `slot`, `step` ("start", "stop", "keep",
--   "update", "leave", "lose"), `version`, `why` (of a move for balance)}; `pending`: array of {`name`, `pending`, `reason`}; `index`
function M.build(model, snapshot, engine, changes, json)
  local steps = {}
  for _, change in ipairs(changes) do
    local end_word = (change.kind == "delete" or change.gone_since ~= nil) and "lose" or "leave"
    for _, step in ipairs(steps_of(change, model.holdings.decided[change.host], end_word)) do steps[#steps + 1] = step end
  end
  return {
    nodes = rows_of(steps, "node", "task", json), tasks = rows_of(steps, "task", "node", json),
    pending = pending_of(engine, #snapshot.nodes, json), index = index_of(model),
  }
end

local function hosts_of(...)
  local set, list = {}, {}
  for _, by_host in ipairs({ ... }) do
    for host in pairs(by_host) do
      if not set[host] then set[host], list[#list + 1] = true, host end
    end
  end
  table.sort(list)
  return list
end

--- Where it ends: what each node and task has then that it has not now.
-- @tparam table snapshot
-- @tparam table way see way.go
-- @tparam Engine engine that went it
-- @tparam table json appmgr.json
-- @treturn table `nodes`, `tasks`, `pending` as of `build`, with the steps "start", "update" and "end"; `steps` (how many decisions),
--   `is_whole`, `outcome`, `outcome_message`
function M.build_way(snapshot, way, engine, json)
  local steps = {}
  for _, host in ipairs(hosts_of(snapshot.held, way.held)) do
    local change = { host = host, replicas = way.held[host] }
    for _, step in ipairs(steps_of(change, snapshot.held[host], "end")) do steps[#steps + 1] = step end
  end
  return {
    nodes = rows_of(steps, "node", "task", json), tasks = rows_of(steps, "task", "node", json),
    pending = pending_of(engine, #snapshot.nodes, json), steps = way.steps, is_whole = way.is_whole, outcome = way.outcome,
    outcome_message = way.outcome_message,
  }
end

return M
