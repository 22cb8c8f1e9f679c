--- `appmgr policy put`: keep policies in Consul.

local change = require("appmgr.cli.policy_change")
local json = require("appmgr.json")

local TEXT = [[
appmgr policy put FILE...
Keep policies in Consul, each under the name of its file; "appmgr policy use" brings one into force.

Each is loaded first as the leader would load it, and refused if it cannot be. A version never
changes; the last 10 of a policy are kept.

  --json           for programs]]

local function put(context, path)
  local policy, err = change.read_file(context, path)
  if not policy then return nil, err end
  local loaded
  loaded, err = change.load(context, policy)
  if not loaded then return nil, ("%s: %s"):format(path, err) end
  return change.put(context, policy)
end

local function run(context, arguments)
  local results, code = {}, 0
  for _, path in ipairs(arguments.file) do
    local result, err = put(context, path)
    if result then
      results[#results + 1] = result
      if not arguments.json then
        context:print(('policy "%s" version %s %s'):format(result.name, result.hash,
          result.outcome == "created" and "put" or "is there already"))
      end
    else
      code = context:fail(err)
    end
  end
  if arguments.json then context:print_json(json.array(results)) end
  return code
end

return { text = TEXT, speaks_to_agent = true, run = run }
