--- `appmgr plan`: what would change, without changing it.

local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")
local policy_change = require("appmgr.cli.policy_change")
local policy_store = require("appmgr.cli.policy_store")
local question = require("appmgr.cli.question")
local task_files = require("appmgr.cli.task_files")

local TEXT = [[
appmgr plan [FILE...]
Show what the next decision would change, and where all that follows ends: node by node, task by task.
Nothing is written. On the way to the end each replica comes up at once, and what waits for a
confirmation has it; no move for balance begins but those of the next decision.

FILEs are task documents, taken as if they had been applied. The index below says what the plan was
made from: "appmgr task apply --check-index N" refuses when anything of it has changed since.

  --policy P       with another policy: a file, or the name of one in Consul or of appmgr's own
  --confirm ID     confirm what waits for a confirmation, as "plan" and "status" show it
  --json           for programs]]

-- All the decisions of a large rollout.
local TIMEOUT_MS <const> = 30 * 1000

local WORDS <const> = { start = "+", stop = "-", keep = "=", update = "~", leave = "-", lose = "-", ["end"] = "-" }
local NOTES <const> = { stop = "is told to stop", keep = "stays after all", leave = "has left", lose = "is lost with its node" }

local function find_policy(context, word)
  if word:find("/", 1, true) or word:find("%.lua$") then return policy_change.read_file(context, word) end
  local stored, err = policy_store.read(context)
  if not stored then return nil, err end
  local version, find_error = policy_store.find(stored, word)
  return version or policy_change.installed(context, word), find_error
end

local function read_tasks(context, paths)
  local tasks = task_files.read_all(context, paths)
  if not tasks then return nil end
  local list = {}
  for index, one in ipairs(tasks) do
    list[index] = { name = one.name, text = one.document }
    for _, warning in ipairs(one.warnings) do context:warn("appmgr: " .. warning) end
  end
  return json.array(list)
end

local function describe_step(step, other)
  local note = step.why or NOTES[step.step]
  if step.step == "update" then note = "gets version " .. step.version:sub(1, 8) end
  local where = other == "node" and step.node or ("%s.%d"):format(step.task, step.slot)
  local what = other == "node" and ("  %s slot %d %s %s"):format(WORDS[step.step], step.slot, "on", where)
    or ("  %s %s"):format(WORDS[step.step], where)
  return note and what .. "  " .. note or what
end

--- What changes, by node and by task, and what is pending then.
local function add_changes(lines, answer)
  local function add(rows, title, other)
    for _, row in ipairs(rows) do
      lines[#lines + 1] = ("%s %s"):format(title, row.name)
      for _, step in ipairs(row.steps) do lines[#lines + 1] = describe_step(step, other) end
    end
  end
  add(answer.nodes, "node", "task")
  add(answer.tasks, "task", "node")
  for _, row in ipairs(answer.pending) do
    local count = row.pending > 0 and row.pending .. " " or "" -- how many a document wants that cannot be used is not known
    lines[#lines + 1] = ('task "%s": %spending: %s'):format(row.name, count, row.reason)
  end
end

local function end_title(way)
  local steps = grid.count(way.steps, "step")
  if way.outcome ~= "ok" then
    return ("after %s the policy fails (%s: %s); until then:"):format(steps, way.outcome, tostring(way.outcome_message))
  end
  if not way.is_whole then return ("after %s, which are not all:"):format(steps) end
  return ("in the end, after %s:"):format(steps)
end

local function describe(answer)
  local lines = {}
  if #answer.nodes == 0 then lines[1] = "nothing would change" end
  add_changes(lines, answer)
  if answer.way.steps > 0 then
    table.move({ "", end_title(answer.way) }, 1, 2, #lines + 1, lines)
    add_changes(lines, answer.way)
    lines[#lines + 1] = ""
  end
  for _, restraint in ipairs(answer.restraints) do lines[#lines + 1] = restraint.text end
  if answer.balance then lines[#lines + 1] = "rebalance: " .. answer.balance end
  lines[#lines + 1] = ("index: %d"):format(answer.index)
  return table.concat(lines, "\n")
end

--- Confirms what the plan at this moment says is to be confirmed under an id.
local function confirm(context, answer, id)
  for _, held in ipairs(answer.confirm) do
    if held.id == id then
      local result, err = context:call("plan.confirm", { id = id, subjects = held.subjects })
      if not result then return context:fail(err) end
      context:print(("%s confirmed"):format(id))
      return 0
    end
  end
  return context:fail(('nothing waits for "%s" at the moment; "appmgr plan" shows what does'):format(id))
end

local function run(context, arguments)
  local policy, err
  if arguments.policy then
    policy, err = find_policy(context, arguments.policy)
    if not policy then return context:fail(err) end
  end
  local tasks = read_tasks(context, arguments.file)
  if not tasks then return 1 end
  local answer
  answer, err = question.ask(context, { type = "plan", tasks = tasks }, "plan", { policy = policy, timeout_ms = TIMEOUT_MS })
  if not answer then return context:fail(err) end
  if answer.frozen then return context:fail("nothing is decided at the moment: " .. answer.frozen) end
  if arguments.confirm then return confirm(context, answer, arguments.confirm) end
  if arguments.json then
    answer.type = nil
    context:print_json(answer)
  else
    context:print(describe(answer))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
