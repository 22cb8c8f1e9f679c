--- `appmgr app ls`: the applications of this node.

local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr app ls
List the applications of this node, local ones and replicas of tasks.

  --json           the fields of the status key, for programs]]

local HEADER <const> = { "NAME", "TASK", ">SLOT", "STATE", ">PID", ">MEMORY", ">CPU", ">RESTARTS", "STARTED", "NOTE" }

local function note(row)
  local parts = { row.error }
  if not row.error and row.state ~= "running" and row["return"] then
    parts[1] = ("ended with %d"):format(row["return"])
  end
  if row.next_start_time then parts[#parts + 1] = "next start " .. row.next_start_time end
  return table.concat(parts, ", ")
end

local function percent(cpu)
  return cpu and ("%.1f%%"):format(cpu)
end

local function format(rows)
  local cells = {}
  for i, row in ipairs(rows) do
    cells[i] = {
      row.name, row.task, row.slot, row.state, row.pid, grid.size(row.memory), percent(row.cpu), row.restarts,
      row.last_start_time, note(row),
    }
  end
  return grid.format(HEADER, cells)
end

local function run(context, arguments)
  local rows, err = context:call("app.list")
  if not rows then return context:fail(err) end
  if arguments.json then
    context:print_json(rows)
  else
    context:print(#rows == 0 and "no applications on this node" or format(rows))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
