--- What a planner can be asked without any effect: reports, trials of policies, plans, explanations.
--
-- The desk lends what it decides with; a planner that is only asked (`appmgr plan`) and one that leads answer alike.
local fresh = require("appmgr.planner.fresh")
local guard = require("appmgr.planner.guard")
local moves = require("appmgr.planner.moves")
local plan = require("appmgr.planner.plan")
local reasons = require("appmgr.planner.reasons")
local report = require("appmgr.planner.report")
local restraint = require("appmgr.planner.restraint")
local suggest = require("appmgr.suggest")
local trial = require("appmgr.planner.trial")
local way = require("appmgr.planner.way")

local M = {}

-- Tasks, nodes and what is pending, as the cluster is.
local function make_report(desk, header, tools)
  local snapshot = tools.snapshot(desk, header)
  local engine = tools.fed_engine(desk, snapshot)
  engine:decide(snapshot.now)
  local message = report.build(snapshot, engine, desk.deps.json)
  message.type, message.problems = "report", desk.deps.json.array(desk.model:problems())
  return message
end

local function snapshot_if_trusted(desk, header, tools)
  local snapshot = tools.snapshot(desk, header)
  return snapshot, guard.frozen(desk.model, snapshot.live, header.known_cluster)
end

-- May this policy take over? While nothing may be decided on what was read, nobody can tell, and nothing can happen.
local function try_policy(desk, header, tools)
  local snapshot, frozen = snapshot_if_trusted(desk, header, tools)
  local answer = frozen and { ok = true, untried = frozen }
    or trial.run(desk.model, snapshot, desk.load_again, desk.limits, desk.deps.json)
  answer.type = "trial"
  return answer
end

-- How far is what this policy would do from what runs?
local function compare(desk, header, tools)
  local snapshot, frozen = snapshot_if_trusted(desk, header, tools)
  local answer = { type = "comparison", frozen = frozen }
  if frozen then return answer end
  local result = fresh.decide(snapshot, desk.policy, desk.limits)
  answer.failure = fresh.failure(result)
  answer.elsewhere, answer.replicas = fresh.elsewhere(snapshot.held, result.changes)
  return answer
end

-- What somebody may confirm: what each id is about.
local function confirmable(restrained, snapshot, json)
  local list = {}
  local held_back, wave = restrained.brake, snapshot.absence.held
  if held_back then list[1] = { id = held_back.id, subjects = held_back.subjects } end
  if wave and wave.id then list[#list + 1] = { id = wave.id, subjects = {} } end
  return json.array(list)
end

local function balance_text(balance)
  local count = balance and #balance.moves or 0
  if count == 0 then return balance and balance.text end
  return ("%d %s would begin"):format(count, count == 1 and "move" or "moves")
end

-- Where does all of that end?
local function whole_way(desk, snapshot, balance)
  local gone, engine = way.go(snapshot, desk.policy, desk.limits, balance)
  return plan.build_way(snapshot, gone, engine, desk.deps.json)
end

-- What would the next decision change, and those after it, if the tasks in the header stood in Consul as they stand there?
local function make_plan(desk, header, tools)
  local json = desk.deps.json
  for _, document in ipairs(header.tasks or {}) do desk.model.tasks:imagine(document.name, document.text) end
  local snapshot, frozen = snapshot_if_trusted(desk, header, tools)
  if frozen then return { type = "plan", frozen = frozen } end
  local engine = tools.fed_engine(desk, snapshot)
  local terms = tools.terms_of(header)
  local balance = tools.balance_of(desk, terms)
  local result = engine:decide(snapshot.now, nil, balance)
  local decided, restrained = restraint.apply(result, snapshot, desk.model, terms)
  local wave = snapshot.absence.held
  -- The leader will note another moment than ours, and so give it another id.
  if wave and not wave.is_noted then wave.id = nil end
  local answer = plan.build(desk.model, snapshot, engine, tools.changes_of(desk, snapshot, decided), json)
  answer.type, answer.outcome, answer.outcome_message = "plan", result.outcome, result.outcome_message
  answer.confirm = confirmable(restrained, snapshot, json)
  answer.way = whole_way(desk, snapshot, balance)
  answer.restraints = json.array(restraint.problems(restrained, snapshot, terms))
  answer.balance = balance_text(result.balance)
  return answer
end

local function explained(rows, json)
  for _, row in ipairs(rows) do
    for _, reason in ipairs(row.reasons) do reason.text = reasons.text(reason) end
    row.reasons = json.array(row.reasons)
  end
  return json.array(rows)
end

-- The replicas of a task that run where they do because they were moved for balance.
local function moved_rows(engine, task)
  local list = {}
  engine:each_holder(task, function(holder)
    local replica = holder.replica
    if replica.moved then
      list[#list + 1] = { slot = replica.slot, node = holder.site.name, at = replica.moved.at, text = moves.text(replica.moved) }
    end
  end)
  table.sort(list, function(a, b) return a.slot < b.slot end)
  return list
end

local function no_such_task(name, tasks)
  local known = {}
  for index, entry in ipairs(tasks) do known[index] = entry.name end
  local nearest = suggest.nearest(name, known)
  return "there is no such task" .. (nearest and ('; did you mean "%s"?'):format(nearest) or "")
end

-- Why does a task run where it runs, and why not elsewhere?
local function explain(desk, header, tools)
  local json = desk.deps.json
  local snapshot = tools.snapshot(desk, header)
  local engine = tools.fed_engine(desk, snapshot)
  engine:decide(snapshot.now)
  local state, rows = engine:task_state(header.task), engine:explain(header.task, header.node)
  if not rows then
    local entry = engine:entry(header.task)
    return { type = "explanation", error = entry and table.concat(entry.errors, "; ") or no_such_task(header.task, snapshot.tasks) }
  end
  return {
    type = "explanation", nodes = explained(rows, json), moved = json.array(moved_rows(engine, header.task)),
    away = json.array(report.away(snapshot, header.task)),
    pending = #state.pending + #state.placed,
    reason = #state.reasons > 0 and reasons.sentence(state.reasons, #snapshot.nodes) or nil,
    policy = desk.policy and { name = desk.policy.name, hash = desk.policy.hash },
  }
end

--- The messages that are questions.
-- @tparam table tools `snapshot` (function(desk, header)), `fed_engine`, `changes_of`, `terms_of`, `balance_of`
-- @treturn table functions (desk, header) → answer, by type
function M.handlers(tools)
  local handlers = {}
  for name, answer in pairs({
    report = make_report, trial = try_policy, compare = compare, plan = make_plan, explain = explain,
  }) do
    handlers[name] = function(desk, header) return answer(desk, header, tools) end
  end
  return handlers
end

return M
