--- `appmgr policy test`: does a policy keep its contract?

local cases = require("appmgr.workbench.cases")
local documents = require("appmgr.cli.documents")
local frame = require("appmgr.planner.frame")
local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")
local policy_file = require("appmgr.workbench.policy_file")
local workbench = require("appmgr.cli.workbench")

local TEXT = [[
appmgr policy test FILE
Try a policy on hundreds of small clusters made up by chance, without an agent.

On each: it answers for every task; the same cluster gives the same answer, in whatever order it is
heard of; deciding again changes nothing; when a node is lost or joins, what may stay stays; no rule
is broken. The first cluster on which that fails is made as small as it goes, and kept in a file; as it
was where the policy had to be stopped.

  --clusters N     how many (default: 300)
  --seed N         of the first one (default: 1)
  --case PATH      try this one only, as it was kept
  --save PATH      where to keep a failing one (default: policy-failure.json)
  --options JSON   the policy's options
  --timeout N      seconds it may take for one question (default: 10)
  --memory N       MB it may have (default: 1024)
  --json           for programs]]

local DEFAULT_CLUSTERS <const>, DEFAULT_FILE <const> = 300, "policy-failure.json"
local MAX_CASE_BYTES <const> = 1024 * 1024

local function read_case(context, path)
  local case, reason = documents.read(context, path, MAX_CASE_BYTES, "that a case may have")
  if not case then return nil, reason end
  for _, field in ipairs({ "nodes", "tasks", "intents" }) do
    if type(case[field]) ~= "table" then return nil, ("%s: %s: is missing; this is no case"):format(path, field) end
  end
  case.seed = math.tointeger(case.seed) or 1
  return case
end

-- Tries it, and returns on how many clusters, how it failed, and on which one.
local function try(context, arguments, found, given)
  local clusters, failure, case, is_small
  local take = {
    tries = function(header) case = given or cases.random(header.seed) end,
    smaller = function(header, body) failure, case, is_small = header.failure, json.decode(body), true end,
    tested = function(header)
      clusters = header.clusters
      return true
    end,
  }
  local request = { type = "test", first = arguments.seed or 1, clusters = arguments.clusters or DEFAULT_CLUSTERS }
  local messages = { workbench.policy(found), frame.encode(request, given and json.encode(given)) }
  local done, wrong = workbench.run(context.core, messages, function(header, body) return take[header.type](header, body) end, {
    timeout_s = arguments.timeout, memory_mb = arguments.memory, is_adjustable = true,
  })
  if done or failure then return clusters, failure, case, is_small end
  if wrong.is_refused or not case then return nil, wrong end
  return clusters, { seed = case.seed, property = "total", outcome = wrong.outcome, text = wrong.message }, case
end

local function save(context, arguments, failure, case)
  local path = arguments.save or DEFAULT_FILE
  local saved, reason = context.core.file.write_atomic(path, json.encode(case, { pretty = true }) .. "\n", 420)
  failure.saved, failure.save_error = saved and path or nil, reason
end

local function report(context, arguments, count, failure, is_small)
  if arguments.json then
    context:print_json({ ok = failure == nil, clusters = count, failure = failure })
  elseif not failure then
    context:print(("%s keeps the contract on %s"):format(arguments.file, grid.count(count, "cluster")))
  else
    context:fail(("%s does not keep the contract, cluster %d: %s: %s"):format(arguments.file, failure.seed, failure.property,
      failure.text))
    local which = is_small and "a small cluster that shows it is in %s" or "the cluster, not made smaller, is in %s"
    context:warn(failure.saved and (which .. "; again: appmgr policy test --case %s %s"):format(
      failure.saved, failure.saved, arguments.file) or "it could not be kept: " .. failure.save_error)
  end
  return failure and 1 or 0
end

local function run(context, arguments)
  if arguments.clusters == 0 then return context:misuse("--clusters takes a number from 1", "appmgr policy test --help") end
  local found, reason = policy_file.read(context, arguments.file, arguments.options)
  if not found then return context:fail(reason) end
  local given
  if arguments.case then
    given, reason = read_case(context, arguments.case)
    if not given then return context:fail(reason) end
  end
  local count, failure, case, is_small = try(context, arguments, found, given)
  if failure and not case then
    return context:fail(failure.is_refused and failure.message or ("policy \"%s\": %s"):format(found.name, failure.message))
  end
  if failure then save(context, arguments, failure, case) end
  return report(context, arguments, count, failure, is_small)
end

return { text = TEXT, run = run }
