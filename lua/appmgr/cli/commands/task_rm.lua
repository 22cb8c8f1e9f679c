--- `appmgr task rm`: delete tasks.

local json = require("appmgr.json")

local TEXT = [[
appmgr task rm NAME...
Delete tasks; their replicas are stopped on all nodes.

  --json           for programs]]

local function run(context, arguments)
  local results, code = {}, 0
  for _, name in ipairs(arguments.name) do
    local result, err = context:call("task.remove", { name = name })
    if result then
      results[#results + 1] = result
      if not arguments.json then context:print(('task "%s" removed'):format(name)) end
    else
      code = context:fail(err)
    end
  end
  if arguments.json then context:print_json(json.array(results)) end
  return code
end

return { text = TEXT, speaks_to_agent = true, run = run }
