--- `appmgr policy check`: would the planner take this policy?

local Policy = require("appmgr.planner.policy")
local json = require("appmgr.json")
local names = require("appmgr.workbench.names")
local policy_file = require("appmgr.workbench.policy_file")

local TEXT = [[
appmgr policy check FILE
Check a policy without an agent: its syntax, the names it uses, what it declares.

FILE is a path, or the name of an installed policy. "appmgr policy test FILE" tries it on clusters.

  --options JSON   check these options, too
  --json           for programs]]

local function findings_of(context, arguments)
  local found, reason = policy_file.read(context, arguments.file)
  if not found then return nil, reason end
  local findings = names.findings(found.source, arguments.file, Policy.environment(context.core.sandbox))
  local policy, refusal = policy_file.load(context, arguments.file, arguments.options)
  -- A syntax error is told once, with the name of the file.
  if not policy and #findings == 0 then findings[1] = refusal end
  return findings, policy
end

local function run(context, arguments)
  local findings, policy = findings_of(context, arguments)
  if not findings then return context:fail(policy) end
  local ok = #findings == 0
  if arguments.json then
    context:print_json({ ok = ok, findings = json.array(findings) })
  elseif ok then
    context:print(("%s is in order: policy \"%s\", API %d"):format(arguments.file, policy.name, Policy.API))
  else
    for _, finding in ipairs(findings) do context:warn(finding) end
  end
  return ok and 0 or 1
end

return { text = TEXT, run = run }
