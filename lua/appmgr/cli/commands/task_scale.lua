--- `appmgr task scale`: change how many replicas a task has.

local task = require("appmgr.task")

local TEXT = [[
appmgr task scale NAME COUNT
Change how many replicas of a task are wanted: a number, or "all" for one on each node.

  --json           for programs]]

local function read_count(word)
  if word == "all" then return word end
  local count = word:match("^%-?%d+$") and math.tointeger(tonumber(word))
  if count and count >= 0 and count <= task.MAX_REPLICATION then return count end
  return nil, ('COUNT is a whole number from 0 to %d, or "all", not "%s"'):format(task.MAX_REPLICATION, word)
end

local function run(context, arguments)
  local count, wrong = read_count(arguments.count)
  if not count then return context:misuse(wrong, "appmgr task scale --help") end
  local result, err = context:call("task.scale", { name = arguments.name, replication = count })
  if not result then return context:fail(err) end
  if arguments.json then
    context:print_json(result)
  elseif result.outcome == "unchanged" then
    context:print(('task "%s" unchanged: it is scaled to %s already'):format(result.name, count))
  else
    context:print(('task "%s" scaled to %s'):format(result.name, count))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
