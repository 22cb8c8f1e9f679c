--- `appmgr cluster restore`: write back what the agents remember, after a look at it.

local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr cluster restore
Rebuild tasks and assignments in Consul from what the agents remember.

This is for a store that was wiped, or went back to an old state, while agents went on running.
The plan is shown first and nothing is written before you agree. See "appmgr cluster accept" for
the opposite.

  -y, --yes        write without asking
  --json           for programs: the plan, or with --yes what was written]]

local function describe(plan)
  local lines = { ('cluster "%s", from the memory of %s'):format(plan.cluster, grid.count(#plan.hosts, "node")) }
  for _, task in ipairs(plan.tasks) do lines[#lines + 1] = ('  task "%s"'):format(task.name or task) end
  for _, host in ipairs(plan.hosts) do
    lines[#lines + 1] = ("  node %s: %s"):format(host.node, grid.count(#host.replicas, "replica"))
  end
  return table.concat(lines, "\n")
end

local function agrees(context)
  context:ask("write this to Consul? [y/N] ")
  local answer = context:read_line()
  return answer ~= nil and answer:lower():match("^%s*ye?s?%s*$") ~= nil
end

local function run(context, arguments)
  local plan, err = context:call("cluster.restore", { plan = true })
  if not plan then return context:fail(err) end
  if arguments.json and not arguments.yes then
    context:print_json(plan)
    return 0
  end
  if not arguments.json then context:print(describe(plan)) end
  if not arguments.yes and not agrees(context) then
    context:warn("nothing was written")
    return 1
  end
  local result, apply_error = context:call("cluster.restore", { apply = plan })
  if result == nil then return context:fail(apply_error) end
  if arguments.json then
    context:print_json(result)
  else
    context:print("restored: the agents follow the store again")
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
