--- `appmgr explain`: why there, and why not there.

local grid = require("appmgr.cli.grid")
local question = require("appmgr.cli.question")
local task_table = require("appmgr.cli.task_table")

local TEXT = [[
appmgr explain TASK [NODE]
Say of each node whether it may have (another replica of) a task, with all reasons and the score.

  --json           for programs]]

local function verdict(row)
  if #row.reasons == 0 then return row.score and ("%.14g"):format(row.score) or "-", "could have another one" end
  local texts = {}
  for index, reason in ipairs(row.reasons) do texts[index] = reason.text end
  return "-", table.concat(texts, "; ")
end

local function describe(answer, task)
  local rows = {}
  for index, row in ipairs(answer.nodes) do
    local score, text = verdict(row)
    rows[index] = { row.node, row.replicas, score, text }
  end
  local parts = { grid.format({ "NODE", ">HAS", ">SCORE", "WHY" }, rows) }
  for index, moved in ipairs(answer.moved) do
    parts[#parts + 1] = ("%sslot %d on %s: %s, %s"):format(index == 1 and "\n" or "", moved.slot, moved.node, moved.text,
      os.date("%Y-%m-%d %H:%M:%S", moved.at))
  end
  if answer.pending > 0 then
    parts[#parts + 1] = ('\ntask "%s": %d pending%s'):format(task, answer.pending, answer.reason and ": " .. answer.reason or "")
  end
  for _, away in ipairs(answer.away) do
    parts[#parts + 1] = ('\ntask "%s": slot %d on node %s, which %s'):format(task, away.slot, away.node, task_table.grace(away))
  end
  if answer.policy then parts[#parts + 1] = ("\npolicy: %s@%s"):format(answer.policy.name, answer.policy.hash:sub(1, 12)) end
  return table.concat(parts, "\n")
end

local function run(context, arguments)
  local answer, err = question.ask(context, { type = "explain", task = arguments.task, node = arguments.node }, "explanation")
  if not answer then return context:fail(err) end
  if answer.error then return context:fail(('task "%s": %s'):format(arguments.task, answer.error)) end
  if arguments.node and #answer.nodes == 0 then
    return context:fail(('there is no node "%s"; "appmgr nodes" lists those there are'):format(arguments.node))
  end
  if arguments.json then
    answer.type = nil
    context:print_json(answer)
  else
    context:print(describe(answer, arguments.task))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
