--- Loads a placement policy into the sandbox, and runs there what asks it.
--
-- A policy decides between nodes that the engine offers; it never sees the
-- model, and nothing it does outlives a question but its answer.
local canonical = require("appmgr.planner.rules.canonical")
local fields = require("appmgr.fields")
local names = require("appmgr.names")
local policy_options = require("appmgr.planner.policy_options")
local record = require("appmgr.planner.record")
local suggest = require("appmgr.suggest")

local Policy = {}
Policy.__index = Policy

--- The version of the contract in policies/README.md.
Policy.API = 1

local LOAD_LIMITS = { deadline_ms = 1000, instructions = 10000000, memory_mb = 128 }

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

local function read_boolean(value)
  if type(value) ~= "boolean" then return nil, "must be true or false" end
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
    options = policy_options.declare,
    preempts = read_boolean,
    filter = read_function,
    score = read_function,
    spread = read_function,
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

-- The labels over which tasks that say nothing of it are spread.
local function read_spread(labels)
  if not fields.is_object(labels) and not (type(labels) == "table" and #labels > 0) then
    return nil, "spread must return an array of labels"
  end
  local list = {}
  for position, label in ipairs(labels) do
    local ok, reason = names.check_label(label)
    if not ok then return nil, "spread: " .. reason end
    list[position] = { label = label }
  end
  return list
end

local function spread_of(sandbox, definition, options)
  if not definition.spread then return {} end
  local outcome, value = sandbox.call(definition.spread, LOAD_LIMITS, options)
  if outcome ~= "ok" then return nil, ("spread: %s: %s"):format(outcome, tostring(value)) end
  return read_spread(value)
end

local function refusal(source, reason)
  return nil, ("policy \"%s\": %s"):format(source.name, reason)
end

-- Equal where text and options are.
local function identity_of(source)
  local parts = { source.hash }
  for _, name in ipairs(canonical.sorted_keys(source.options or {})) do
    parts[#parts + 1] = name
    parts[#parts + 1] = tostring(source.options[name])
  end
  return canonical.of(parts)
end

--- Loads a policy.
-- @tparam table deps `sandbox` (core.sandbox)
-- @tparam table source `name` (for messages), `text`, `hash`, `options` (values by name; nil: the defaults)
-- @treturn[1] Policy `noted`: by kind of record the fixed fields that it was seen to read, see record.maker
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function Policy.load(deps, source)
  local sandbox = deps.sandbox
  local chunk, reason = sandbox.load(source.text, "=" .. source.name, Policy.environment(sandbox))
  if not chunk then return refusal(source, reason) end
  local outcome, value = sandbox.call(chunk, LOAD_LIMITS)
  if outcome ~= "ok" then return refusal(source, outcome .. ": " .. tostring(value)) end
  local definition, options
  definition, reason = read_definition(value)
  if not definition then return refusal(source, reason) end
  options, reason = policy_options.read(definition.options or {}, source.options or {})
  if not options then return refusal(source, reason) end
  options = record.options(options)
  local spread
  spread, reason = spread_of(sandbox, definition, options)
  if not spread then return refusal(source, reason) end
  local reads, noted = definition.reads or {}, {}
  for kind in pairs(record.FIELDS) do noted[kind] = { fields = {}, count = 0 } end
  return setmetatable({
    sandbox = sandbox, name = source.name, hash = source.hash, identity = identity_of(source),
    filter = definition.filter, score = definition.score,
    options = options, spread = spread, preempts = definition.preempts == true, reads = reads, noted = noted,
    is_global = reads["cluster.replicas"] == true,
    new_task = record.maker("task", reads, noted.task), new_node = record.maker("node", reads, noted.node),
    new_cluster = record.maker("cluster", reads, noted.cluster),
  }, Policy)
end

--- Runs a function within the limits that hold for the policy; what it asks the policy is up to it.
-- @tparam string task the name of the task that it asks about
-- @tparam function fn
-- @tparam table limits see core.sandbox
-- @param ... its arguments
-- @treturn string outcome: "ok", "error", "timeout", "no_memory"
-- @treturn any what it returned; else the message
-- @treturn ?string traceback
function Policy:run(_, fn, limits, ...)
  local outcome, answer, traceback = self.sandbox.call(fn, limits, ...)
  if outcome == "ok" then return outcome, answer end
  return outcome, tostring(answer), traceback
end

return Policy
