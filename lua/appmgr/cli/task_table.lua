--- Tasks of a report as people read them.

local grid = require("appmgr.cli.grid")

local M = {}

local HEADER <const> = { "TASK", ">WANTED", ">RUNNING", ">PENDING", "VERSION", "WHERE", "STATE" }
local SLOT_HEADER <const> = { ">SLOT", "NODE", "STATE", "VERSION", "SINCE", ">PID", ">MEMORY", ">CPU", ">RESTARTS", "PORTS" }
local MAX_NODES_SHOWN <const> = 6
local VERSION_DIGITS <const> = 8

--- The beginning of a version's hash, enough to tell versions apart.
function M.short_version(version)
  return version and version:sub(1, VERSION_DIGITS)
end

--- "alpha beta(2)": the nodes by name, with the number of slots where that is not one.
local function where(slots)
  local names, counts = {}, {}
  for _, slot in ipairs(slots) do
    if not counts[slot.node] then names[#names + 1] = slot.node end
    counts[slot.node] = (counts[slot.node] or 0) + 1
  end
  table.sort(names)
  local shown = {}
  for i = 1, math.min(#names, MAX_NODES_SHOWN) do
    local name = names[i]
    shown[i] = counts[name] > 1 and ("%s(%d)"):format(name, counts[name]) or name
  end
  if #names > MAX_NODES_SHOWN then shown[#shown + 1] = ("… %d more"):format(#names - MAX_NODES_SHOWN) end
  return table.concat(shown, " ")
end

--- Until when a replica stays that of a node that is gone.
-- @tparam table grace `since` and `until_time` (unix s)
-- @treturn string
function M.grace(grace)
  local gone = ("is gone since %s; "):format(os.date("%Y-%m-%d %H:%M:%S", grace.since))
  if grace.until_time then return gone .. "it stays there until " .. os.date("%Y-%m-%d %H:%M:%S", grace.until_time) end
  return gone .. 'it stays there until the node is back, or somebody confirms what "appmgr plan" says'
end

--- What is going on with a task, in a word or two.
local function state_of(task)
  if task.error then return "error" end
  if task.removed then return task.assigned > 0 and "to be removed" or "being removed" end
  local states, is_moving = {}, false
  for _, slot in ipairs(task.slots) do
    states[slot.state], is_moving = true, is_moving or slot.moving_to ~= nil
  end
  if states.away then return "away" end
  if is_moving then return "moving" end
  if states.updating or states.leaving then return "updating" end
  if task.pending > 0 or task.reason then return "pending" end
  if task.running == task.assigned then return "ok" end
  if states.backoff or states.failed or states.gave_up or states.blocked then return "failing" end
  if states.waiting then return "waiting" end
  return states.disabled and "disabled" or "starting"
end

--- What a slot does not run for; one of a kind is enough.
local function add_slot_errors(list, task)
  local seen = {}
  for _, slot in ipairs(task.slots) do
    if slot.error and not seen[slot.error] then
      seen[slot.error] = true
      list[#list + 1] = ('task "%s": slot %d on %s: %s'):format(task.name, slot.slot, slot.node, slot.error)
    end
  end
end

--- What moves for balance, and why.
local function add_moves(list, task)
  for _, slot in ipairs(task.slots) do
    local to = slot.moving_to
    if to then
      list[#list + 1] = ('task "%s": slot %d moves from %s to %s as slot %d: %s'):format(task.name, slot.slot, slot.node, to.node,
        to.slot, to.why)
    end
  end
end

--- Slots on nodes that are gone, one line for each node and deadline.
local function add_away(list, task)
  local lines, slots_of = {}, {}
  for _, slot in ipairs(task.slots) do
    local line = slot.grace and ("node %s, which %s"):format(slot.node, M.grace(slot.grace))
    if line and not slots_of[line] then lines[#lines + 1], slots_of[line] = line, {} end
    if line then table.insert(slots_of[line], slot.slot) end
  end
  for _, line in ipairs(lines) do
    list[#list + 1] = ('task "%s": slot %s on %s'):format(task.name, table.concat(slots_of[line], ", "), line)
  end
end

--- A removed task whose replicas nobody has told to go.
local function add_removal(list, task)
  if not task.removed or task.assigned == 0 then return end
  list[#list + 1] = ('task "%s": is removed, and %d of its replicas go on; if that lasts, "appmgr plan" says what has to be'
    .. " confirmed"):format(task.name, task.assigned)
end

--- What has to be said of a task beside its row.
local function notes(task)
  local list, name = {}, ('task "%s": '):format(task.name)
  if task.error then list[#list + 1] = name .. task.error .. "; what runs of it stays as it is" end
  local pending = task.pending > 0 and ("%d pending: "):format(task.pending) or "pending: "
  if task.pending > 0 or task.reason and not task.error then list[#list + 1] = name .. pending .. (task.reason or "?") end
  add_removal(list, task)
  add_moves(list, task)
  add_slot_errors(list, task)
  add_away(list, task)
  for _, warning in ipairs(task.warnings) do list[#list + 1] = name .. warning end
  return list
end

--- What is wrong with documents that have no row: keys in the wrong place, answers that cannot be read.
local function other_problems(report)
  local has_row, list = {}, {}
  for _, task in ipairs(report.tasks) do has_row["task/" .. task.name] = true end
  for _, problem in ipairs(report.problems) do
    if not has_row[problem.key] then list[#list + 1] = problem.text end
  end
  return list
end

--- The table of all tasks, and below it what is wrong with any of them.
-- @tparam table report {tasks, problems}
-- @treturn string
function M.tasks(report)
  local rows, below = {}, other_problems(report)
  for i, task in ipairs(report.tasks) do
    rows[i] = {
      task.name, task.replication, task.running, task.pending, M.short_version(task.version), where(task.slots),
      state_of(task),
    }
    for _, note in ipairs(notes(task)) do below[#below + 1] = note end
  end
  local text = #rows > 0 and grid.format(HEADER, rows) or 'no tasks; "appmgr task apply FILE" creates one'
  if #below > 0 then text = text .. "\n\n" .. table.concat(below, "\n") end
  return text
end

local function since(value)
  return math.type(value) and os.date("%Y-%m-%d %H:%M:%S", value // 1) or value
end

--- "admin=20001 http=8080"
local function ports_of(slot)
  local list = {}
  for name, number in pairs(slot.ports or {}) do list[#list + 1] = ("%s=%d"):format(name, number) end
  table.sort(list)
  return #list > 0 and table.concat(list, " ") or nil
end

--- "cpu 500, memory_mb 1 (by default)"
local function resources_of(task)
  local defaulted, list = {}, {}
  for _, name in ipairs(task.resources_defaulted or {}) do defaulted[name] = true end
  for name, amount in pairs(task.resources or {}) do
    list[#list + 1] = ("%s %d%s"):format(name, amount, defaulted[name] and " (by default)" or "")
  end
  table.sort(list)
  return #list > 0 and table.concat(list, ", ") or nil
end

--- One task with its slots.
-- @tparam table task of a report
-- @treturn string
function M.task(task)
  local lines = {
    { "task", task.name },
    { "state", state_of(task) },
    { "wanted", task.replication },
    { "running", task.running },
    { "pending", task.pending },
    { "version", M.short_version(task.version) },
    { "priority", task.priority ~= 0 and task.priority or nil },
    { "resources", resources_of(task) },
  }
  local parts = { grid.list(lines) }
  local list = notes(task)
  if #list > 0 then parts[#parts + 1] = table.concat(list, "\n") end
  local rows = {}
  for i, slot in ipairs(task.slots) do
    rows[i] = {
      slot.slot, slot.node, slot.state, M.short_version(slot.version), since(slot.since), slot.pid, grid.size(slot.memory),
      slot.cpu and ("%.1f%%"):format(slot.cpu), slot.restarts, ports_of(slot),
    }
  end
  if #rows > 0 then parts[#parts + 1] = grid.format(SLOT_HEADER, rows) end
  return table.concat(parts, "\n\n")
end

return M
