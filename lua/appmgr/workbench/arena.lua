--- A cluster that exists only in memory, around the real engine, in which all goes well (planner/forward.lua). Policies are tried
-- here.
--
-- It is made of documents, as they stand in Consul, so that what is tried is what would run.
local Engine = require("appmgr.planner.engine")
local Forward = require("appmgr.planner.forward")
local Nodes = require("appmgr.planner.nodes")
local check = require("appmgr.planner.check")
local reasons = require("appmgr.planner.reasons")
local task_document = require("appmgr.task")

local Arena = {}
Arena.__index = Arena

--- A move takes three passes, and each task that waits for another's room may begin then.
local MAX_PASSES <const> = 60

--- It begins, is waited for, the other one is told to go, and has gone; looks without a move come on top of that.
local DECISIONS_PER_MOVE <const> = 8

--- @tparam table deps `json`, `codec`, `clock` (function → s of processor time)
-- @tparam Policy policy
-- @tparam[opt] table limits see Engine.new
-- @tparam[opt] table terms of moves for balance, see appmgr.rebalance_terms; nil: nothing is moved for that
-- @treturn Arena `seconds` (of processor time that deciding took), `decisions`, `held` (replicas by host), `started`
--   (replicas, since it was made)
function Arena.new(deps, policy, limits, terms)
  local engine = Engine.new({ policy = policy, limits = limits })
  local forward = Forward.new(engine)
  return setmetatable({
    deps = deps, terms = terms and setmetatable({ digest = deps.codec.sha256 }, { __index = terms }), engine = engine,
    forward = forward, held = forward.held, documents = {}, intents = {}, now = 1000000, seconds = 0, decisions = 0, started = 0,
    begun = {}, sent_away = {},
  }, Arena)
end

-- What goes in ------------------------------------------------------------------

local function entry_of(key, document, json)
  return document and { { key = key, value = json.encode(document), session = "here" } } or {}
end

-- Parsed by the code that reads Consul's listings.
local function node_of(self, name)
  local json = self.deps.json
  local nodes = Nodes.new({ json = json })
  nodes:feed_live(entry_of("live/" .. name, self.documents[name], json))
  nodes:feed_intents(entry_of("node/" .. name, self.intents[name], json))
  local node = nodes:list()[1]
  if node then node.load = self.documents[name].load end
  return node
end

--- A node joins, or says something new of itself.
-- @tparam string name
-- @tparam table document of `live/<name>`; `load`, if there, is what was measured
function Arena:put_node(name, document)
  self.documents[name] = document
  self.engine:put_node(node_of(self, name))
end

--- What an operator wants of a node; nil: nothing any more.
-- @tparam string name
-- @tparam ?table document of `node/<name>`
function Arena:put_intent(name, document)
  self.intents[name] = document
  if self.documents[name] then self.engine:put_node(node_of(self, name)) end
end

--- A node is gone, and what it ran with it.
-- @tparam string name
-- @treturn integer how many replicas
function Arena:drop_node(name)
  local lost = #(self.held[name] or {})
  self.documents[name] = nil
  self.engine:drop_node(name)
  self:hold(name, nil)
  self.engine:put_status(name, nil)
  return lost
end

--- A task is new, or changed.
-- @tparam string name
-- @tparam table document of `task/<name>`
-- @treturn {string,...} what is wrong with the document
function Arena:put_task(name, document)
  local task, findings = task_document.parse(name, self.deps.json.encode(document), self.deps.json, self.deps.codec)
  self.engine:put_task({ name = name, task = task, errors = findings.errors, warnings = findings.warnings })
  return findings.errors
end

--- A task was removed.
-- @tparam string name
function Arena:drop_task(name)
  self.engine:drop_task(name)
end

--- Gives a host what it shall hold from now on.
-- @tparam string host
-- @tparam ?{replica,...} replicas nil: its assignment is deleted
function Arena:hold(host, replicas)
  self.forward:hold(host, replicas)
end

-- Deciding ----------------------------------------------------------------------

local function key_of(replica)
  return replica.task .. "." .. replica.slot
end

local function add_one(counts, task)
  counts[task] = (counts[task] or 0) + 1
end

local function count_changes(self, before, after)
  local known = {}
  for _, replica in ipairs(before or {}) do known[key_of(replica)] = replica end
  for _, replica in ipairs(after) do
    local old = known[key_of(replica)]
    if not old then
      self.started = self.started + 1
      add_one(self.begun, replica.task)
    elseif replica.leaving and not old.leaving then
      add_one(self.sent_away, replica.task)
    end
  end
end

--- Counts what became of the replicas that had to leave a node since this was asked last.
-- @treturn integer how many moved: another of the task began somewhere
-- @treturn integer how many were stopped: none took their place
function Arena:take_leavers()
  local moved, stopped = 0, 0
  for task, count in pairs(self.sent_away) do
    local replaced = math.min(count, self.begun[task] or 0)
    moved, stopped = moved + replaced, stopped + count - replaced
  end
  self.begun, self.sent_away = {}, {}
  return moved, stopped
end

--- Decides once, and lets the decision take effect.
-- @tparam[opt=false] boolean may_balance whether moves for balance may begin
-- @treturn table the decision, see Engine.decide, with `violation` (see check.violation)
-- @treturn boolean whether it changed anything
function Arena:step(may_balance)
  local began = self.deps.clock()
  local result = self.engine:decide(self.now, nil, may_balance and self.terms or nil)
  result.violation = check.violation(self.engine, result.changes)
  self.seconds, self.decisions, self.now = self.seconds + self.deps.clock() - began, self.decisions + 1, self.now + 1
  for host, replicas in pairs(result.changes) do count_changes(self, self.held[host], replicas) end
  return result, self.forward:take(result)
end

local function count_held(self)
  local count = 0
  for _, replicas in pairs(self.held) do count = count + #replicas end
  return count
end

--- Lets replicas be moved for balance until none would be better off elsewhere; time passes as it has to.
-- @treturn[1] integer how many seconds that took
-- @treturn[1] string what there is to say of it
-- @treturn[2] nil
-- @treturn[2] string what went wrong
function Arena:balance()
  local began = self.now
  -- A replica is moved once at most, in a few decisions.
  for _ = 1, MAX_PASSES + DECISIONS_PER_MOVE * count_held(self) do
    local result, has_changed = self:step(true)
    if result.violation then return nil, result.violation end
    if not has_changed and result.wake_at then
      self.now = math.max(self.now, result.wake_at)
    elseif not has_changed and not next(result.status_hosts) then
      return self.now - began, result.balance and result.balance.text
    end
  end
  return nil, "moves for balance do not come to an end"
end

--- Decides until nothing changes any more. What the policy fails for is set aside, see Arena:failed: when the others are
-- placed, each later decision asks for those tasks alone, and that all of these fail says nothing of the policy.
-- @treturn ?string what went wrong; nil when nothing did
-- @treturn ?string what it goes against: "valid" (a rule is broken), "at rest"
function Arena:settle()
  for _ = 1, MAX_PASSES do
    local result, has_changed = self:step()
    if result.violation then return result.violation, "valid" end
    if not has_changed and not next(result.status_hosts) then return nil end
  end
  return ("it does not come to rest: after %d decisions there is still something to change"):format(MAX_PASSES), "at rest"
end

-- What can be asked ---------------------------------------------------------------

--- Where every slot is.
-- @treturn table host by "task.slot"
function Arena:places()
  local places = {}
  for host, replicas in pairs(self.held) do
    for _, replica in ipairs(replicas) do
      if not replica.leaving then places[key_of(replica)] = host end
    end
  end
  return places
end

--- How many replicas are not placed, and of which tasks.
-- @treturn integer
-- @treturn {table,...} the states of those tasks, see Engine:task_state
function Arena:pending()
  local count, states = 0, {}
  for _, name in ipairs(self.engine:unsettled()) do
    local state = self.engine:task_state(name)
    count, states[#states + 1] = count + #state.pending, state
  end
  return count, states
end

--- Which tasks the policy failed for.
-- @treturn {{task=,outcome=,text=},...} in the order of their names
function Arena:failed()
  local list = {}
  local _, states = self:pending()
  for _, state in ipairs(states) do
    local cause = state.cause
    if cause and cause.code == "policy_failed" then
      list[#list + 1] = { task = state.name, outcome = cause.args.outcome, text = reasons.text(cause) }
    end
  end
  table.sort(list, function(a, b) return a.task < b.task end)
  return list
end

return Arena
