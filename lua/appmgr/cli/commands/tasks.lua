--- `appmgr tasks`: all tasks of the cluster and where they run.

local cluster_report = require("appmgr.cli.cluster_report")
local task_table = require("appmgr.cli.task_table")

local TEXT = [[
appmgr tasks
List the tasks of the cluster: how many replicas are wanted and run, where, and why some do not.

Any agent can be asked, leader or not.

  --json           for programs]]

local function run(context, arguments)
  local report, err = cluster_report.read(context)
  if not report then return context:fail(err) end
  if arguments.json then
    context:print_json({ leader = report.leader or nil, tasks = report.tasks, problems = report.problems })
    return 0
  end
  context:print(task_table.tasks(report))
  context:print(cluster_report.footer(report))
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
