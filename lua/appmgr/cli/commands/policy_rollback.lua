--- `appmgr policy rollback`: the policy that was in use before.

local change = require("appmgr.cli.policy_change")
local documents = require("appmgr.policy_documents")
local json = require("appmgr.json")
local policy_store = require("appmgr.cli.policy_store")

local TEXT = [[
appmgr policy rollback
Go back to the policy that was in use before; again, to the one before that.

It is tried on the cluster first, as by "appmgr policy use".

  --json           for programs]]

local function run(context, arguments)
  local stored, err = policy_store.read(context)
  if not stored then return context:fail(err) end
  local text, earlier = documents.step_back(stored.use, json)
  if not text then return context:fail("there is nothing to go back to: no policy was chosen before") end
  if earlier.name then
    local version, find_error = policy_store.find(stored, earlier.name .. "@" .. earlier.hash)
    if not version then return context:fail(find_error) end
    local tried, try_error = change.try(context, { name = version.name, source = version.source, options = earlier.options })
    if not tried then
      return context:fail(('policy "%s" cannot be used: %s; nothing was changed'):format(change.shown(earlier), try_error))
    end
  end
  local written, write_error = change.choose(context, stored, text)
  if not written then return context:fail(write_error) end
  if arguments.json then
    context:print_json({ name = earlier.name, hash = earlier.hash, options = earlier.options })
  else
    context:print(("in use again: %s"):format(change.shown(earlier)))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
