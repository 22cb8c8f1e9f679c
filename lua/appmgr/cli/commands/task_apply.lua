--- `appmgr task apply`: create or change tasks from their documents.

local json = require("appmgr.json")
local task_files = require("appmgr.cli.task_files")

local TEXT = [[
appmgr task apply FILE...
Create or change tasks from their documents ("-" reads one from the standard input).

A document is a JSON object with a "content" (an application, whose "name" names the task) and a
"replication". All documents are checked before the first is written; what Consul already holds is
not written again.

  --check-index N  write nothing if a task or a node changed since "appmgr plan" showed N
  --json           for programs]]

local function run(context, arguments)
  local tasks = task_files.read_all(context, arguments.file)
  if not tasks then
    context:warn("nothing was written")
    return 1
  end
  local results, code = {}, 0
  for position, one in ipairs(tasks) do
    for _, warning in ipairs(one.warnings) do context:warn("appmgr: " .. warning) end
    -- What this command writes itself raises the index.
    local result, err, failure = context:call("task.apply", {
      name = one.name, document = one.document, check_index = position == 1 and arguments.check_index or nil,
    })
    if result then
      results[#results + 1] = result
      if not arguments.json then context:print(('task "%s" %s'):format(result.name, result.outcome)) end
    else
      code = context:fail(err)
      if failure == "moved_on" then return code end
    end
  end
  if arguments.json then context:print_json(json.array(results)) end
  return code
end

return { text = TEXT, speaks_to_agent = true, run = run }
