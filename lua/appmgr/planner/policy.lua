--- Loads a placement policy into the sandbox and asks it, task by task.
--
-- A policy decides between nodes that the engine offers; it never sees the
-- model, and nothing it does outlives a question but its answer.
local Heap = require("appmgr.planner.heap")
local fields = require("appmgr.fields")
local record = require("appmgr.planner.record")
local suggest = require("appmgr.suggest")

local Policy = {}
Policy.__index = Policy

--- The version of the contract in policies/README.md.
Policy.API = 1

local LOAD_LIMITS = { deadline_ms = 1000, instructions = 10000000 }

-- No clock, no chance, no access to anything but the arguments. `pairs` is our
-- own: Lua's order of keys differs from run to run.
local NAMES = {
  "assert", "error", "ipairs", "select", "tonumber", "tostring", "type",
  "math.abs", "math.ceil", "math.floor", "math.fmod", "math.huge", "math.log", "math.max", "math.maxinteger",
  "math.min", "math.mininteger", "math.sqrt", "math.tointeger", "math.type", "math.ult",
  "string.byte", "string.char", "string.find", "string.format", "string.gmatch", "string.gsub", "string.len",
  "string.lower", "string.match", "string.rep", "string.reverse", "string.sub", "string.upper",
  "table.concat", "table.insert", "table.move", "table.pack", "table.remove", "table.sort", "table.unpack",
}

--- The global names a policy may use.
-- @tparam table sandbox core.sandbox
-- @treturn table
function Policy.environment(sandbox)
  local environment = sandbox.environment(NAMES)
  environment.pairs = function(values)
    local meta = getmetatable(values)
    if meta == "map" then return pairs(values) end
    return record.sorted_pairs(values)
  end
  return environment
end

local function read_function(value)
  if type(value) ~= "function" then return nil, "must be a function" end
  return value
end

local function read_reads(value)
  if type(value) ~= "table" then return nil, "must be an array of names" end
  local known, reads = {}, {}
  for _, name in ipairs(record.readable()) do known[name] = true end
  for _, name in ipairs(value) do
    if not known[name] then
      return nil, ("\"%s\" is nothing that placing changes; %s"):format(tostring(name),
        suggest.hint(tostring(name), record.readable()))
    end
    reads[name] = true
  end
  return reads
end

local SCHEMA = {
  fields = {
    api = function(value)
      if value ~= Policy.API then return nil, ("must be %d"):format(Policy.API) end
      return value
    end,
    name = fields.text(128),
    description = fields.text(),
    reads = read_reads,
    filter = read_function,
    score = read_function,
  },
}

local function read_definition(value)
  if type(value) ~= "table" or getmetatable(value) ~= nil then
    return nil, "a policy returns a plain table"
  end
  local definition, findings = fields.read(value, SCHEMA)
  local errors = fields.strict(findings)
  for _, name in ipairs({ "api", "name", "score" }) do
    if value[name] == nil then errors[#errors + 1] = name .. ": is missing" end
  end
  if #errors > 0 then
    return nil, table.concat(errors, "; ")
  end
  return definition
end

--- Loads a policy.
-- @tparam table deps `sandbox` (core.sandbox)
-- @tparam table source `name` (for messages), `text`, `hash`
-- @treturn[1] Policy
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function Policy.load(deps, source)
  local sandbox = deps.sandbox
  local chunk, reason = sandbox.load(source.text, "=" .. source.name, Policy.environment(sandbox))
  if not chunk then
    return nil, ("policy \"%s\": %s"):format(source.name, reason)
  end
  local outcome, value = sandbox.call(chunk, LOAD_LIMITS)
  if outcome ~= "ok" then
    return nil, ("policy \"%s\": %s: %s"):format(source.name, outcome, tostring(value))
  end
  local definition
  definition, reason = read_definition(value)
  if not definition then
    return nil, ("policy \"%s\": %s"):format(source.name, reason)
  end
  local reads = definition.reads or {}
  return setmetatable({
    sandbox = sandbox, name = source.name, hash = source.hash, filter = definition.filter, score = definition.score,
    is_global = reads["cluster.replicas"] == true, new_task = record.maker("task", reads),
    new_node = record.maker("node", reads), new_cluster = record.maker("cluster", reads),
  }, Policy)
end

-- What happens in the sandbox -----------------------------------------------
--
-- Everything below runs inside of the budget of one task. It changes only the
-- `seen` values of the candidates, which the engine resets for each task.

local function apply_filter(policy, task, candidates, cluster)
  local accepted, rejected = {}, {}
  for _, candidate in ipairs(candidates) do
    local verdict, code, detail = policy.filter(task, candidate.record, cluster)
    if verdict == true then
      accepted[#accepted + 1] = candidate
    elseif verdict == false then
      if code ~= nil and type(code) ~= "string" then
        return nil, "bad_result", "filter's code must be a string, not a " .. type(code)
      end
      rejected[#rejected + 1] = { candidate = candidate, code = code or "filter", detail = detail and tostring(detail) }
    else
      return nil, "bad_result", "filter must return true or false, not a " .. type(verdict)
    end
  end
  return accepted, rejected
end

local function score_of(policy, task, candidate, cluster)
  local score = policy.score(task, candidate.record, cluster)
  if not math.type(score) or score ~= score then
    return nil, ("score of node \"%s\" must be a number, not %s"):format(candidate.node.name, tostring(score))
  end
  return score
end

local function rescore(policy, task, candidates, cluster)
  for _, candidate in ipairs(candidates) do
    local reason
    candidate.score, reason = score_of(policy, task, candidate, cluster)
    if not candidate.score then return nil, reason end
  end
  return true
end

local function better(a, b)
  if a.score ~= b.score then return a.score > b.score end
  return a.seen.position < b.seen.position
end

local function take(candidate, cluster_seen)
  candidate.room = candidate.room - 1
  candidate.seen.replicas = candidate.seen.replicas + 1
  candidate.seen.task_replicas = candidate.seen.task_replicas + 1
  cluster_seen.replicas = cluster_seen.replicas + 1
end

-- After a placement only the chosen node has changed, unless the score looks at
-- the whole cluster.
local function after_take(policy, task, heap, cluster)
  local chosen = heap:top()
  local gone = chosen.room == 0
  if gone then heap:pop() end
  if policy.is_global then
    local ok, reason = rescore(policy, task, heap.items, cluster)
    return ok and Heap.new(heap.items, better), reason
  end
  if gone then return heap end
  local reason
  chosen.score, reason = score_of(policy, task, chosen, cluster)
  if not chosen.score then return nil, reason end
  heap:settle()
  return heap
end

local function choose(policy, question)
  local task, cluster = question.task, question.cluster
  local accepted, rejected = question.candidates, {}
  if policy.filter then
    local message
    accepted, rejected, message = apply_filter(policy, task, question.candidates, cluster)
    if not accepted then return rejected, message end
  end
  local ok, reason = rescore(policy, task, accepted, cluster)
  if not ok then return "bad_result", reason end
  local heap, chosen = Heap.new(table.move(accepted, 1, #accepted, 1, {}), better), {}
  while #chosen < question.count and heap:top() do
    chosen[#chosen + 1] = heap:top().node
    take(heap:top(), question.cluster_seen)
    heap, reason = after_take(policy, task, heap, cluster)
    if not heap then return "bad_result", reason end
  end
  return "ok", { chosen = chosen, accepted = #accepted, rejected = rejected }
end

--- Asks for the best nodes.
-- @tparam table question `task`, `cluster` (records), `cluster_seen`,
--   `candidates` ({`node`, `record`, `seen`, `room`}, by position), `count`
-- @tparam table limits `deadline_ms`, `instructions`
-- @treturn string outcome: "ok", "error", "timeout", "no_memory", "bad_result"
-- @treturn table|string answer: `chosen` nodes in order (fewer than asked for
--   when no more fit), `accepted` (a number), `rejected`; else the message
-- @treturn ?string traceback
function Policy:choose(question, limits)
  local outcome, verdict, answer = self.sandbox.call(choose, limits, self, question)
  if outcome == "ok" then
    return verdict, answer
  end
  return outcome, tostring(verdict), answer
end

return Policy
