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

--- "web.0 web.1 db.0"
local function slots_of(host)
  local slots = {}
  for i, replica in ipairs(host.replicas) do slots[i] = ("%s.%d"):format(replica.task, replica.slot) end
  return #slots > 0 and table.concat(slots, " ") or "nothing"
end

local function describe(plan)
  local hosts, tasks = {}, {}
  for i, host in ipairs(plan.hosts) do hosts[i] = { host.node, slots_of(host) } end
  for i, task in ipairs(plan.tasks) do tasks[i] = { task.name, task.source } end
  local parts = {
    ("cluster %s, as %s remember it:"):format(plan.cluster, grid.count(#plan.hosts, "node")),
    #tasks > 0 and grid.format({ "TASK", "FROM" }, tasks) or "no task has to be written",
    grid.format({ "NODE", "GOES ON WITH" }, hosts),
  }
  if #plan.notes > 0 then parts[#parts + 1] = table.concat(plan.notes, "\n") end
  return table.concat(parts, "\n\n") .. "\n"
end

local function agrees(context)
  context:ask("write this to Consul? [y/N] ")
  local answer = context:read_line()
  return answer ~= nil and answer:lower():match("^%s*ye?s?%s*$") ~= nil
end

local function run(context, arguments)
  local plan, err = context:call("cluster.restore")
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
  local result, apply_error = context:call("cluster.restore", { apply = true })
  if result == nil then return context:fail(apply_error) end
  if arguments.json then
    context:print_json(result)
  else
    context:print(("restored: %s and what %s ran; the agents follow the store again"):format(
      grid.count(result.tasks, "task"), grid.count(result.hosts, "node")))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
