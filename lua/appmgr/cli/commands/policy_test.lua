--- `appmgr policy test`: does a policy keep its contract?

local cases = require("appmgr.workbench.cases")
local contract = require("appmgr.workbench.contract")
local documents = require("appmgr.cli.documents")
local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")
local policy_file = require("appmgr.workbench.policy_file")
local shrink = require("appmgr.workbench.shrink")

local TEXT = [[
appmgr policy test FILE
Try a policy on hundreds of small clusters made up by chance, without an agent.

On each: it answers for every task; the same cluster gives the same answer, in whatever order it is
heard of; deciding again changes nothing; when a node is lost or joins, what may stay stays; no rule
is broken. The first cluster on which that fails is made as small as it goes, and kept in a file.

  --clusters N     how many (default: 300)
  --seed N         of the first one (default: 1)
  --case PATH      try this one only, as it was kept
  --save PATH      where to keep a failing one (default: policy-failure.json)
  --options JSON   the policy's options
  --json           for programs]]

local DEFAULT_CLUSTERS <const>, DEFAULT_FILE <const> = 300, "policy-failure.json"
local MAX_CASE_BYTES <const> = 1024 * 1024

local function listed(context, arguments)
  if arguments.case then
    local case, reason = documents.read(context, arguments.case, MAX_CASE_BYTES, "that a case may have")
    if not case then return nil, reason end
    for _, field in ipairs({ "nodes", "tasks", "intents" }) do
      if type(case[field]) ~= "table" then return nil, ("%s: %s: is missing; this is no case"):format(arguments.case, field) end
    end
    case.seed = math.tointeger(case.seed) or 1
    return { case }
  end
  local list, first = {}, arguments.seed or 1
  for seed = first, first + (arguments.clusters or DEFAULT_CLUSTERS) - 1 do list[#list + 1] = cases.random(seed) end
  return list
end

-- Each try begins with a policy that has seen nothing.
local function tried(context, arguments, case)
  local policy = assert(policy_file.load(context, arguments.file, arguments.options))
  return contract.try(policy_file.arena_deps(context), policy, case)
end

local function failure_of(context, arguments, case, fault)
  local smallest = shrink.smallest(case, function(smaller)
    local found = tried(context, arguments, smaller)
    return found ~= nil and found.property == fault.property
  end)
  local path = arguments.save or DEFAULT_FILE
  local again = tried(context, arguments, smallest) or fault
  local saved, reason = context.core.file.write_atomic(path, json.encode(smallest, { pretty = true }) .. "\n", 420)
  return { seed = case.seed, property = again.property, text = again.text, saved = saved and path or nil, save_error = reason }
end

local function report(context, arguments, count, failure)
  if arguments.json then
    context:print_json({ ok = failure == nil, clusters = count, failure = failure })
  elseif not failure then
    context:print(("%s keeps the contract on %s"):format(arguments.file, grid.count(count, "cluster")))
  else
    context:fail(("%s does not keep the contract, cluster %d: %s: %s"):format(arguments.file, failure.seed, failure.property,
      failure.text))
    context:warn(failure.saved and ("the smallest cluster that shows it is in %s; again: appmgr policy test --case %s %s"):format(
      failure.saved, failure.saved, arguments.file) or "it could not be kept: " .. failure.save_error)
  end
  return failure and 1 or 0
end

local function run(context, arguments)
  local policy, refusal = policy_file.load(context, arguments.file, arguments.options)
  if not policy then return context:fail(refusal) end
  local list, reason = listed(context, arguments)
  if not list then return context:fail(reason) end
  for position, case in ipairs(list) do
    local fault = tried(context, arguments, case)
    if fault then return report(context, arguments, position, failure_of(context, arguments, case, fault)) end
  end
  return report(context, arguments, #list, nil)
end

return { text = TEXT, run = run }
