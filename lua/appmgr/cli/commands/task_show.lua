--- `appmgr task show`: one task, its slots and its document.

local cluster_report = require("appmgr.cli.cluster_report")
local json = require("appmgr.json")
local suggest = require("appmgr.suggest")
local task_table = require("appmgr.cli.task_table")

local TEXT = [[
appmgr task show NAME
Show one task: its slots, where they run, why some do not, and its document.

  --json           for programs]]

local function find(report, name)
  local names = {}
  for i, task in ipairs(report.tasks) do
    if task.name == name then return task end
    names[i] = task.name
  end
  local near = suggest.nearest(name, names)
  local hint = near and ('; did you mean "%s"?'):format(near) or '; "appmgr tasks" lists those there are'
  return nil, ('there is no task "%s"%s'):format(name, hint)
end

--- The document as it stands in Consul; nil for one that is gone meanwhile.
local function read_document(context, name)
  local answers, err = context:call("consul.read", { keys = { { key = "task/" .. name } } })
  if not answers then return nil, err end
  if answers[1].error then return nil, answers[1].error end
  local decode = context.core.codec.base64_decode
  local listing = answers[1].status == 200 and json.decode(decode(answers[1].body_base64))
  return listing and listing[1] and listing[1].Value and decode(listing[1].Value) or nil
end

--- For people: JSON is laid out, anything else is shown as it is.
local function laid_out(text)
  local document = json.decode(text)
  return document ~= nil and json.encode(document, { pretty = true }) or text
end

local function run(context, arguments)
  local report, err = cluster_report.read(context)
  if not report then return context:fail(err) end
  local task, unknown = find(report, arguments.name)
  if not task then return context:fail(unknown) end
  local text, read_error = read_document(context, arguments.name)
  if read_error then return context:fail(read_error) end
  if arguments.json then
    task.document = text and (json.decode(text) or text)
    context:print_json(task)
    return 0
  end
  context:print(task_table.task(task))
  if text then context:print("\n" .. laid_out(text)) end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
