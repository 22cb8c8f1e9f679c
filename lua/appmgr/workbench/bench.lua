--- The workbench: messages in, answers out, as of the planner's desk. Knows nothing of pipes and files.
--
--   policy {name, options}, its text      → loaded {ok, error}
--   check {file}, a text                  → findings {findings, name}
--   test {first, clusters}, maybe a case  → tested {clusters, failure}, the case that failed
--   snapshot, its text; cluster {nodes, tasks, replicas, seed}; events, their text
--   simulate {seed, timeout_s, rebalance} → simulated {steps, failures, unusable, elsewhere}
--
-- Where something is wrong that the policy did not do: failed {outcome, message}. What it does meanwhile it tells: loads;
-- works; asks, the name of a task; tries {seed}; smaller {failure}, a case.
local Policy = require("appmgr.planner.policy")
local cases = require("appmgr.workbench.cases")
local contract = require("appmgr.workbench.contract")
local names = require("appmgr.workbench.names")
local shrink = require("appmgr.workbench.shrink")
local simulation = require("appmgr.workbench.simulation")
local snapshots = require("appmgr.workbench.snapshots")
local synthetic = require("appmgr.workbench.synthetic")
local watched = require("appmgr.workbench.watched")

local Bench = {}
Bench.__index = Bench

--- A case is not made smaller for longer than that.
local MAX_SHRINK_S <const> = 3

--- @tparam table deps `json`, `codec`, `sandbox`, `clock` (function → s of processor time), `tell` (function(header, body))
-- @treturn Bench
function Bench.new(deps)
  return setmetatable({ deps = deps, events = {} }, Bench)
end

local function failed(message)
  return { type = "failed", outcome = "error", message = message }
end

-- The policy ----------------------------------------------------------------------

local function load_policy(self, name, source, options)
  local deps = self.deps
  deps.tell({ type = "loads" })
  local policy, reason = Policy.load({ sandbox = deps.sandbox }, {
    name = name, text = source, hash = deps.codec.sha256(source), options = options,
  })
  if not policy then return nil, reason end
  return watched.policy(policy, function(task) deps.tell({ type = "asks" }, task) end, deps.clock)
end

local HANDLERS = {}

function HANDLERS.policy(self, header, body)
  self.name, self.load = header.name, function() return load_policy(self, header.name, body, header.options) end
  local policy, reason = self.load()
  return { type = "loaded", ok = policy ~= nil, error = reason }
end

function HANDLERS.check(self, header, body)
  self.deps.tell({ type = "loads" })
  local findings = names.findings(body, header.file, Policy.environment(self.deps.sandbox))
  local policy, refusal = load_policy(self, header.name, body, header.options)
  -- A syntax error is told once, with the name of the file.
  if not policy and #findings == 0 then findings[1] = refusal end
  return { type = "findings", findings = self.deps.json.array(findings), name = policy and policy.name }
end

-- Small clusters -------------------------------------------------------------------

-- Each try begins with a policy that has seen nothing.
local function try(self, case)
  return contract.try(self.deps, assert(self.load()), case)
end

local function smallest(self, case, fault)
  local deps, begun = self.deps, self.deps.clock()
  local function tell(failure, found)
    failure.seed = case.seed
    deps.tell({ type = "smaller", failure = failure }, deps.json.encode(found))
    return failure, found
  end
  local failure, found = tell(fault, case)
  shrink.smallest(case, function(smaller)
    if deps.clock() - begun > MAX_SHRINK_S then return false end
    local again = try(self, smaller)
    if not again or again.property ~= fault.property then return false end
    failure, found = tell(again, smaller)
    return true
  end)
  return failure, found
end

function HANDLERS.test(self, header, body)
  local given = body ~= "" and self.deps.json.decode(body)
  for position = 1, given and 1 or header.clusters do
    local case = given or cases.random(header.first + position - 1)
    self.deps.tell({ type = "tries", seed = case.seed })
    local fault = try(self, case)
    if fault then
      local failure, found = smallest(self, case, fault)
      return { type = "tested", clusters = position, failure = failure }, self.deps.json.encode(found)
    end
  end
  return { type = "tested", clusters = given and 1 or header.clusters }
end

-- A large one ------------------------------------------------------------------------

function HANDLERS.snapshot(self, _, body)
  local document, reason = self.deps.json.decode(body)
  if not document then return failed("the snapshot is no JSON: " .. tostring(reason)) end
  self.make_cluster = function() return snapshots.cluster(document, self.deps.codec) end
end

function HANDLERS.cluster(self, header)
  self.make_cluster = function() return synthetic.cluster(header) end
end

function HANDLERS.events(self, header, body)
  local list, reason = self.deps.json.decode(body)
  if not list then return failed(("%s: is no JSON: %s"):format(header.file, tostring(reason))) end
  if not self.deps.json.is_array(list) then return failed(header.file .. ": is no array of events") end
  self.events = list
end

function HANDLERS.simulate(self, header)
  local json = self.deps.json
  local policy = assert(self.load())
  self.deps.tell({ type = "works" })
  local cluster, reason = self.make_cluster()
  if not cluster then return failed(reason) end
  local steps, arena, failures, unusable = simulation.run(self.deps, policy, cluster, self.events, header.seed,
    header.timeout_s, header.rebalance)
  if not steps then return failed(("policy \"%s\": %s"):format(self.name, arena)) end
  local before, places = self.places, arena:places()
  self.places = places
  return {
    type = "simulated", steps = json.array(steps), failures = json.array(failures), unusable = json.array(unusable),
    elsewhere = before and simulation.elsewhere(before, places),
  }
end

--- Handles one message.
-- @tparam table header see planner/frame.lua
-- @tparam string body
-- @treturn ?table header of the answer, if there is one
-- @treturn ?string body of the answer
function Bench:handle(header, body)
  local handler = HANDLERS[header.type]
  if not handler then return failed("unknown message " .. tostring(header.type)) end
  return handler(self, header, body)
end

return Bench
