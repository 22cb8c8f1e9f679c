--- `appmgr app exec-history`: how an application began and ended lately.

local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")

local TEXT = [[
appmgr app exec-history NAME
Show the last starts and exits of an application of this node, the latest at the end.

  -n, --lines N    how many (default: 20)
  --json           for programs]]

local HEADER <const> = { "STARTED", "ENDED", ">RAN", ">PID", "RESULT" }

--- Size in seconds and name of each unit, and of the one shown behind it.
local UNITS <const> = { { 86400, "d", 3600, "h" }, { 3600, "h", 60, "min" }, { 60, "min", 1, "s" } }

--- "0.25 s", "1 min 5 s", "2 d 3 h".
local function duration(seconds)
  for _, unit in ipairs(UNITS) do
    local size, name, rest_size, rest_name = table.unpack(unit)
    if seconds >= size then
      return ("%d %s %d %s"):format(seconds // size, name, seconds % size // rest_size, rest_name)
    end
  end
  return ("%.3g s"):format(seconds)
end

local function result(run)
  if run.error then return run.error end
  if not run.end_time then return "runs" end
  local how = run.signal and ("signal %d"):format(run.signal) or ("exit code %s"):format(run.code or "unknown")
  if run.out_of_memory then how = how .. ", out of memory" end
  return run.next == "stop" and how .. ", stopped" or how
end

local function format(name, runs, count)
  if #runs == 0 and count ~= 0 then return ('application "%s" has not been started yet'):format(name) end
  local cells = {}
  for index, run in ipairs(runs) do
    cells[index] = {
      run.start_time, run.end_time or "", run.ran_seconds and duration(run.ran_seconds) or "", run.pid, result(run),
    }
  end
  return grid.format(HEADER, cells)
end

local function run(context, arguments)
  local runs, err = context:call("app.history", { name = arguments.name, count = arguments.lines })
  if not runs then return context:fail(err) end
  if arguments.json then
    context:print_json(json.array(runs))
  else
    context:print(format(arguments.name, runs, arguments.lines))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
