--- The planner's desk: messages in, messages out. Holds the model and the policy
-- between messages; knows nothing of pipes.
local Deltas = require("appmgr.planner.deltas")
local Engine = require("appmgr.planner.engine")
local Model = require("appmgr.planner.model")
local Pace = require("appmgr.planner.pace")
local Policy = require("appmgr.planner.policy")
local absence = require("appmgr.planner.absence")
local batches = require("appmgr.planner.batches")
local check = require("appmgr.planner.check")
local diff = require("appmgr.planner.diff")
local guard = require("appmgr.planner.guard")
local questions = require("appmgr.planner.questions")
local reasons = require("appmgr.planner.reasons")
local restraint = require("appmgr.planner.restraint")
local versions = require("appmgr.planner.versions")

local Desk = {}
Desk.__index = Desk

local MAX_SUMMARY_LINES = 50
local MAX_PROBLEM_BYTES = 2000
local MAX_FAILURES = 10

-- So many tasks are reported as pending with their reasons.
local MAX_PENDING = 100

--- @tparam table deps `json`, `codec`, `sandbox`
-- @treturn Desk
function Desk.new(deps)
  return setmetatable({
    deps = deps, in_flight = {}, watched = {}, lost = {}, pace = Pace.new(), terms = restraint.DEFAULT_TERMS,
    policy_error = "no policy has been given",
  }, Desk)
end

local function sorted_set(set, json)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return json.array(list)
end

-- Whole, because `since` is compared as text when somebody else may have written.
local function seconds(now)
  return math.tointeger((now or 0) // 1) or 0
end

-- What a message says of grace, brake and pace, completed.
local function terms_of(header)
  return setmetatable(header.placement or {}, { __index = restraint.DEFAULT_TERMS })
end

-- What a message says of moves for balance; nil when there are to be none.
local function balance_of(self, terms)
  local balance = terms.rebalance
  return balance and setmetatable({ digest = self.deps.codec.sha256 }, { __index = balance })
end

-- configure -----------------------------------------------------------------

local function load_policy(self, description, source)
  return Policy.load(self.deps, {
    name = description.name, hash = description.hash, text = source, options = description.options,
  })
end

local function take_policy(self, description, source)
  if not description then return true end
  local policy, reason = load_policy(self, description, source)
  self.load_again = function() return load_policy(self, description, source) end
  -- A policy that cannot be loaded never replaces one that works.
  if policy then
    self.policy, self.policy_error, self.engine = policy, nil, nil
  elseif not self.policy then
    self.policy_error = reason
  end
  return policy ~= nil, reason
end

local function configure(self, header, body)
  if not self.model then
    self.model = Model.new({
      json = self.deps.json, codec = self.deps.codec, prefix = header.prefix or "appmgr", follows = header.follows,
    })
  end
  self.node, self.limits, self.engine = header.node, header.limits, nil
  self.policy_error = header.policy_error or self.policy_error
  local ok, reason = take_policy(self, header.policy, body)
  return { type = "configured", ok = ok, error = reason }
end

-- decide ----------------------------------------------------------------------

local function shortened(text)
  return #text > MAX_PROBLEM_BYTES and text:sub(1, MAX_PROBLEM_BYTES) .. "…" or text
end

-- The engine lives as long as the policy and the term; it is told what is new.
local function fed_engine(self, snapshot)
  if not self.engine or self.engine_term ~= self.model.term then
    self.engine = Engine.new({ policy = self.policy, policy_error = self.policy_error, limits = self.limits })
    self.deltas, self.engine_term = Deltas.new(self.engine), self.model.term
  end
  self.deltas:feed(snapshot)
  return self.engine
end

local function pending_problem(state, nodes)
  local entry = state.entry
  local is_held = state.mode == "kept" and entry.task ~= nil
  -- Waiting for a slot to stop is the ordinary course of a move.
  local first = state.reasons[1]
  local is_pending = #state.pending > 0 and first and first.code ~= "leaving"
  if not is_held and not is_pending and not state.stuck then return nil end
  local amount = is_held and "pending: " or is_pending and ("%d of %s pending: "):format(#state.pending, entry.task.replication) or ""
  local why = reasons.sentence(state.reasons, nodes)
  return { key = "task/" .. entry.name, text = shortened(("task \"%s\": %s%s"):format(entry.name, amount, why)) }
end

local function pending_problems(engine, snapshot, list)
  local names = engine:unsettled()
  for position = 1, math.min(#names, MAX_PENDING) do
    list[#list + 1] = pending_problem(engine:task_state(names[position]), #snapshot.nodes)
  end
  if #names > MAX_PENDING then
    local text = ("%d more tasks are pending; \"appmgr tasks\" shows all"):format(#names - MAX_PENDING)
    list[#list + 1] = { key = "task", text = text }
  end
end

-- The tasks that the policy failed for, and how.
local function failures_of(result)
  local list = {}
  for _, state in ipairs(result.states) do
    if #list < MAX_FAILURES and state.cause and state.cause.code == "policy_failed" then
      list[#list + 1] = {
        task = state.name, outcome = state.cause.args.outcome, message = state.cause.args.message,
        traceback = state.traceback and shortened(state.traceback),
      }
    end
  end
  return list
end

local function stranger_problems(snapshot, list)
  for _, node in ipairs(snapshot.nodes) do
    if node.stranger then
      local text = ("node \"%s\" belongs to cluster %s and gets nothing; run appmgr cluster accept there"):format(
        node.name, tostring(node.cluster))
      list[#list + 1] = { key = "live/" .. node.name, text = text }
    end
  end
end

-- The listing of task/ says nothing without its folder key; a long poll on a folder
-- without any key, as node/ may be, wakes for every write anywhere.
local function founding_of(self, header)
  local model = self.model
  local folders = {}
  for _, topic in ipairs({ "task", "node" }) do
    if model:lacks_folder(topic) then folders[#folders + 1] = topic .. "/" end
  end
  return { cluster = not model.holdings.meta and header.new_cluster or nil, folders = folders }
end

-- The tasks whose versions have to be looked for: those that were worked on, and all when the listing is a new one.
local function names_to_version(self, snapshot, result)
  local set, holdings = {}, self.model.holdings
  if self.seen_versions ~= holdings.versions then
    for _, entry in ipairs(snapshot.tasks) do set[entry.name] = true end
    self.seen_versions = holdings.versions
  end
  for _, state in ipairs(result.states) do set[state.name] = true end
  return sorted_set(set, self.deps.json)
end

local function missing_versions(self, snapshot, engine, result)
  local names = names_to_version(self, snapshot, result)
  local missing, lost = versions.missing(engine, names, self.model.holdings)
  for _, name in ipairs(names) do self.lost[name] = lost[name] end
  return missing
end

-- What differs from the store: of the nodes that are gone first, then stops before starts.
local function changes_of(self, snapshot, decided)
  local holdings, json = self.model.holdings, self.deps.json
  local list = absence.changes(snapshot, decided, holdings, json)
  local rest = diff.changes(decided, snapshot, holdings, json)
  return table.move(rest, 1, #rest, #list + 1, list)
end

-- Everything is read and trusted: what has to be written?
local function work_of(self, header, snapshot, engine, result)
  local holdings = self.model.holdings
  local founding = founding_of(self, header)
  local violation = check.violation(engine, result.changes)
  if violation then
    result.outcome, result.outcome_message = "bad_result", violation
  end
  -- Without the folder key the listing of tasks was no answer.
  if violation or not self.model.tasks.has_folder then
    return { founding = founding, versions = {}, changes = {}, old_versions = {} }
  end
  local changes
  changes, self.restrained = restraint.apply(result, snapshot, self.model, self.terms)
  return {
    founding = founding, versions = missing_versions(self, snapshot, engine, result),
    changes = changes_of(self, snapshot, changes), old_versions = versions.old(engine, result.changes, holdings),
    leftovers = self.model:leftovers(snapshot.now),
  }
end

local function build(self, header, work)
  local deps = {
    json = self.deps.json, codec = self.deps.codec, prefix = self.model.prefix, session = header.session,
    leader_index = self.model.holdings.leader_index,
  }
  local built, problems = batches.build(deps, work)
  self.model.holdings:expect(work.changes)
  self.in_flight = {}
  local sizes, bodies = {}, {}
  for position, batch in ipairs(built) do
    sizes[position], bodies[position] = #batch.body, batch.body
    self.in_flight[position] = batch.effects
  end
  return sizes, table.concat(bodies), problems
end

local function reply(self, header, fields)
  local json = self.deps.json
  fields.type, fields.term, fields.snapshot = "decision", header.term, header.snapshot
  fields.outcome = fields.outcome or "ok"
  fields.audit = self.model.needs_audit or nil
  fields.status_hosts = sorted_set(self.watched, json)
  -- Reading it costs, so it is only for a policy that looks at it.
  if self.policy and self.policy.reads["node.load"] then fields.load_hosts = self.model.nodes:names() end
  for _, name in ipairs({ "problems", "batch_bytes", "summary", "failures" }) do
    fields[name] = json.array(fields[name] or {})
  end
  if self.policy then
    fields.policy = { name = self.policy.name, hash = self.policy.hash }
  end
  return fields
end

local function with_waiting(model, text)
  local problems = model:problems()
  problems[#problems + 1] = { key = "live", text = text }
  return problems
end

-- Whether somebody may confirm something, so that the leader follows `confirm/`.
local function awaits_confirmation(self, snapshot)
  return (self.restrained.brake or snapshot.absence.held) and true or nil
end

-- In how many seconds time alone will change the decision.
local function retry_s(self, snapshot, result)
  if self.restrained.is_waiting then return 1 end
  local first = math.min(snapshot.absence.next_at or math.maxinteger, result.wake_at or math.maxinteger)
  return first < math.maxinteger and math.max(1, first - snapshot.now) or nil
end

-- What there is to say of moves for balance. Those of a decision that is not written are none.
local function balance_told(self, result)
  local balance = result.balance
  if not balance then return nil end
  return { text = balance.text, moves = self.deps.json.array(result.outcome == "ok" and balance.moves or {}) }
end

local function count_placed(result)
  local count = 0
  for _, state in ipairs(result.states) do count = count + #state.placed end
  return count
end

local function decide(self, header)
  local model = self.model
  model:begin_term(header.term)
  self.terms, self.restrained = terms_of(header), {}
  local snapshot = model:snapshot(seconds(header.now), self.terms)
  local frozen = guard.frozen(model, snapshot.live, header.known_cluster)
  if frozen or model.needs_audit then
    return reply(self, header, { frozen = frozen, problems = model:problems() })
  end
  local waiting = header.settling and guard.waiting(model, snapshot.live)
  if waiting then return reply(self, header, { problems = with_waiting(model, waiting), retry = true }) end
  local engine = fed_engine(self, snapshot)
  local starts = self.pace:left(snapshot.now, self.terms.starts_per_second)
  local result = engine:decide(snapshot.now, starts, balance_of(self, self.terms))
  self.pace:take(count_placed(result))
  local work = work_of(self, header, snapshot, engine, result)
  local summary = diff.summary(work.changes, model.holdings, MAX_SUMMARY_LINES)
  local sizes, body, unwritable = build(self, header, work)
  -- The agent watches these statuses and no others; while nothing can be
  -- decided it goes on watching what it watched.
  self.watched = result.status_hosts
  model.nodes:keep_status(self.watched)
  local problems = model:problems()
  table.move(unwritable, 1, #unwritable, #problems + 1, problems)
  for _, lost in pairs(self.lost) do table.move(lost, 1, #lost, #problems + 1, problems) end
  pending_problems(engine, snapshot, problems)
  stranger_problems(snapshot, problems)
  local restraints = restraint.problems(self.restrained, snapshot, self.terms)
  table.move(restraints, 1, #restraints, #problems + 1, problems)
  return reply(self, header, {
    outcome = result.outcome, outcome_message = result.outcome_message, problems = problems, batch_bytes = sizes,
    summary = summary, failures = failures_of(result), awaits_confirmation = awaits_confirmation(self, snapshot),
    retry_s = retry_s(self, snapshot, result), balance = balance_told(self, result),
  }), body
end

-- the other messages ------------------------------------------------------------

local function feed(self, header, body)
  self.model:feed(header, body)
end

local function committed(self, header, body)
  local effects = self.in_flight[header.batch]
  if not effects then return end
  self.in_flight[header.batch] = nil
  self.model:committed(effects, header.status, body)
end

-- Nothing that has no effect belongs to a term.
local HANDLERS = questions.handlers({
  snapshot = function(self, header) return self.model:snapshot(seconds(header.now), terms_of(header)) end,
  fed_engine = fed_engine, changes_of = changes_of, terms_of = terms_of, balance_of = balance_of,
})
HANDLERS.configure, HANDLERS.feed, HANDLERS.decide, HANDLERS.committed = configure, feed, decide, committed

--- Handles one message.
-- @tparam table header see frame.lua
-- @tparam string body
-- @treturn ?table header of the answer, if there is one
-- @treturn ?string body of the answer
function Desk:handle(header, body)
  local handler = HANDLERS[header.type]
  if not handler then
    return { type = "error", message = "unknown message " .. tostring(header.type) }
  end
  if not self.model and header.type ~= "configure" then
    return { type = "error", message = header.type .. " came before configure" }
  end
  return handler(self, header, body)
end

return Desk
