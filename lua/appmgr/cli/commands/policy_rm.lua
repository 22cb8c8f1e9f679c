--- `appmgr policy rm`: remove policies from Consul.

local json = require("appmgr.json")
local policy_store = require("appmgr.cli.policy_store")

local TEXT = [[
appmgr policy rm NAME...
Remove policies from Consul: one version (NAME@VERSION) or all of them (NAME). What is in use stays.

  --json           for programs]]

--- The versions that a word means.
local function meant(stored, word)
  if word:find("@", 1, true) then
    local version, err = policy_store.find(stored, word)
    return version and { version }, err
  end
  local _, err = policy_store.find(stored, word)
  return stored.versions[word], err
end

local function remove(context, stored, word, results)
  local versions, err = meant(stored, word)
  if not versions then return nil, err end
  for _, version in ipairs(versions) do
    if version.name == stored.use.name and version.hash == stored.use.hash then
      return nil, ("%s@%s is in use; use another policy first"):format(version.name, version.hash)
    end
  end
  for _, version in ipairs(versions) do
    local result, remove_error = context:call("policy.remove", { name = version.name, hash = version.hash })
    if not result then return nil, remove_error end
    results[#results + 1] = result
  end
  return true
end

local function run(context, arguments)
  local stored, err = policy_store.read(context)
  if not stored then return context:fail(err) end
  local results, code = {}, 0
  for _, word in ipairs(arguments.name) do
    local first = #results + 1
    local done, remove_error = remove(context, stored, word, results)
    if not done then code = context:fail(remove_error) end
    for index = first, arguments.json and 0 or #results do
      context:print(("policy %s@%s removed"):format(results[index].name, results[index].hash))
    end
  end
  if arguments.json then context:print_json(json.array(results)) end
  return code
end

return { text = TEXT, speaks_to_agent = true, run = run }
