--- `appmgr policy use`: the policy that every leader places with.

local change = require("appmgr.cli.policy_change")
local documents = require("appmgr.policy_documents")
local json = require("appmgr.json")
local policy_store = require("appmgr.cli.policy_store")

local TEXT = [[
appmgr policy use [NAME]
Place with a policy that Consul holds (NAME, or NAME@VERSION), whoever leads.

It is tried on the cluster as it is first, and refused when it fails there; the leader tries it again
and keeps the one before if it must. What may stay where it runs stays. A policy that came with appmgr
and is not in Consul yet is put there.

  --configured     go back to the policy of each agent's own configuration
  --options JSON   options that the policy declares, as a JSON object
  --json           for programs]]

--- The version that is meant; of one that came with appmgr the version that is put now.
local function find(context, stored, word)
  local version, err, is_absent = policy_store.find(stored, word)
  local installed = is_absent and change.installed(context, word)
  if not installed then return version, err end
  local put, put_error = change.put(context, installed)
  if not put then return nil, put_error end
  return { name = installed.name, source = installed.source, hash = put.hash }
end

local function choose(context, arguments, stored)
  if arguments.configured then return {}, nil, {} end
  local options, wrong = change.options(arguments.options)
  if options == false then return nil, wrong end
  local version, err = find(context, stored, arguments.name)
  if not version then return nil, err end
  local tried
  tried, err = change.try(context, { name = version.name, source = version.source, options = options })
  if not tried then return nil, ('policy "%s" cannot be used: %s; nothing was changed'):format(version.name, err) end
  return { name = version.name, hash = version.hash, options = options }, nil, tried
end

local function run(context, arguments)
  if (arguments.name == nil) == (arguments.configured == nil) then
    return context:misuse("name a policy, or say --configured", "appmgr policy use --help")
  end
  local stored, err = policy_store.read(context, true)
  if not stored then return context:fail(err) end
  if stored.unreadable then
    context:warn(("appmgr: policy/use in Consul could not be read: %s; what was in use before is not known"):format(stored.unreadable))
  end
  local choice, choose_error, tried = choose(context, arguments, stored)
  if not choice then return context:fail(choose_error) end
  local is_same = not stored.unreadable and documents.is_chosen(stored.use, choice, json)
  if not is_same then
    local written, write_error = change.choose(context, stored, documents.choose(stored.use, choice, os.time(), json))
    if not written then return context:fail(write_error) end
  end
  if arguments.json then
    context:print_json({ name = choice.name, hash = choice.hash, options = choice.options, trial = tried })
  else
    if choice.name then context:print(change.describe(tried)) end
    context:print((is_same and "in use already: %s" or "in use from now on: %s"):format(change.shown(choice)))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
