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

--- The latest of those before that is still there; the others are passed over, and named.
-- @treturn ?string the text of policy/use then
-- @treturn ?table the choice
-- @treturn ?table its version; nil for the configuration's
local function find(context, stored)
  local use = stored.use
  while true do
    local text, earlier = documents.step_back(use, json)
    if not text or not earlier.name then return text, earlier end
    local version = policy_store.find(stored, earlier.name .. "@" .. earlier.hash)
    if version then return text, earlier, version end
    context:warn(("appmgr: %s is passed over: Consul does not hold it any more"):format(change.shown(earlier)))
    use = documents.read_use(text, json)
  end
end

local function run(context, arguments)
  local stored, err = policy_store.read(context)
  if not stored then return context:fail(err) end
  local text, earlier, version = find(context, stored)
  if not text then return context:fail("there is nothing to go back to: no policy was chosen before") end
  if version then
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
