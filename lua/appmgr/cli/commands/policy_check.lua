--- `appmgr policy check`: would the planner take this policy?

local Policy = require("appmgr.planner.policy")
local json = require("appmgr.json")
local policy_file = require("appmgr.workbench.policy_file")
local workbench = require("appmgr.cli.workbench")

local TEXT = [[
appmgr policy check FILE
Check a policy without an agent: its syntax, the names it uses, what it declares.

FILE is a path, or the name of an installed policy. "appmgr policy test FILE" tries it on clusters.

  --options JSON   check these options, too
  --json           for programs]]

local function run(context, arguments)
  local found, reason = policy_file.read(context, arguments.file, arguments.options)
  if not found then return context:fail(reason) end
  local findings, name = workbench.check(context.core, found, arguments.file)
  local ok = #findings == 0
  if arguments.json then
    context:print_json({ ok = ok, findings = json.array(findings) })
  elseif ok then
    context:print(("%s is in order: policy \"%s\", API %d"):format(arguments.file, name, Policy.API))
  else
    for _, finding in ipairs(findings) do context:warn(finding) end
  end
  return ok and 0 or 1
end

return { text = TEXT, run = run }
