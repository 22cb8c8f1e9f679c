--- `appmgr policy show`: the text of a policy.

local policy_store = require("appmgr.cli.policy_store")

local TEXT = [[
appmgr policy show [NAME]
Print the text of a policy that Consul holds: NAME, NAME@VERSION, or the one in use.

  --json           for programs]]

local function run(context, arguments)
  local stored, err = policy_store.read(context)
  if not stored then return context:fail(err) end
  local policy, find_error
  if arguments.name then
    policy, find_error = policy_store.find(stored, arguments.name)
  else
    policy, find_error = policy_store.chosen(stored)
    find_error = find_error or 'Consul names no policy: each agent places with that of its configuration; "appmgr status" tells which'
  end
  if not policy then return context:fail(find_error) end
  if arguments.json then
    context:print_json({ name = policy.name, version = policy.hash, source = policy.source, options = policy.options })
  else
    context:write(policy.source)
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
