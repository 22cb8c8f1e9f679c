--- `appmgr policy put`: keep policies in Consul.

local change = require("appmgr.cli.policy_change")
local json = require("appmgr.json")
local workbench = require("appmgr.cli.workbench")

local TEXT = [[
appmgr policy put FILE...
Keep policies in Consul, each under the name of its file; "appmgr policy use" brings one into force.

Each is checked first, as by "appmgr policy check", and refused if it is not in order. A version never
changes; the last 10 of a policy are kept.

  --json           for programs]]

--- Puts one policy.
-- @treturn[1] table see policy_change.put
-- @treturn[2] nil
-- @treturn[2] {string,...} what is wrong
local function put(context, path)
  local policy, err = change.read_file(context, path)
  if not policy then return nil, { err } end
  local findings = workbench.check(context.core, policy, path)
  if #findings > 0 then return nil, findings end
  local result, put_error = change.put(context, policy)
  return result, { put_error }
end

local function run(context, arguments)
  local results, code = {}, 0
  for _, path in ipairs(arguments.file) do
    local result, wrong = put(context, path)
    if result then
      results[#results + 1] = result
      if not arguments.json then
        context:print(('policy "%s" version %s %s'):format(result.name, result.hash,
          result.outcome == "created" and "put" or "is there already"))
      end
    else
      for _, text in ipairs(wrong) do code = context:fail(text) end
    end
  end
  if arguments.json then context:print_json(json.array(results)) end
  return code
end

return { text = TEXT, speaks_to_agent = true, run = run }
