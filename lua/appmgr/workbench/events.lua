--- What happens to a simulated cluster, step by step: an array of events, each an object with one field.
--
--   {"lose": 3}             three nodes are lost, the first by name that are alive     {"lose": "n00007"}   this one
--   {"join": 3}             three nodes join                                           {"join": {"name": "x1", "labels": …}}
--   {"drain": "n00001"}     {"undrain": "n00001"}
--   {"apply": {"name": "web", "replication": 3, …}}       a task is new, or changed
--   {"remove": "web"}       {"scale": {"name": "web", "replication": 5}}
local canonical = require("appmgr.planner.rules.canonical")
local random_numbers = require("appmgr.workbench.random")
local suggest = require("appmgr.suggest")
local synthetic = require("appmgr.workbench.synthetic")

local M = {}

local function is_count(value) return math.type(value) == "integer" and value >= 1 end
local function is_name(value) return type(value) == "string" and value ~= "" end
local function is_object(value) return type(value) == "table" and #value == 0 end

local function copy_without_name(document)
  local copy = {}
  for key, value in pairs(document) do
    if key ~= "name" then copy[key] = value end
  end
  return copy
end

local function known_node(arena, name)
  if arena.documents[name] then return true end
  return nil, ("there is no node \"%s\""):format(name)
end

local APPLY = {}

function APPLY.lose(run, value)
  if is_name(value) then
    local ok, reason = known_node(run.arena, value)
    if not ok then return nil, reason end
    run.lost = run.lost + run.arena:drop_node(value)
    return ("lose %s"):format(value)
  end
  if not is_count(value) then return nil, "lose is the name of a node, or how many nodes" end
  local names = canonical.sorted_keys(run.arena.documents)
  for position = 1, math.min(value, #names) do run.lost = run.lost + run.arena:drop_node(names[position]) end
  return ("lose %d"):format(value)
end

function APPLY.join(run, value)
  if is_object(value) and is_name(value.name) then
    run.arena:put_node(value.name, copy_without_name(value))
    return "join " .. value.name
  end
  if not is_count(value) then return nil, "join is how many nodes, or what stands in live/ of one, with its name" end
  for _ = 1, value do
    run.joined = run.joined + 1
    run.arena:put_node(synthetic.name("j", run.joined), synthetic.node(run.random))
  end
  return ("join %d"):format(value)
end

local function intent(name, make)
  return function(run, value)
    if not is_name(value) then return nil, name .. " is the name of a node" end
    local ok, reason = known_node(run.arena, value)
    if not ok then return nil, reason end
    run.arena:put_intent(value, make())
    return ("%s %s"):format(name, value)
  end
end

APPLY.drain = intent("drain", function() return { drain = true } end)
APPLY.undrain = intent("undrain", function() return nil end)

local function put_task(run, name, document)
  local errors = run.arena:put_task(name, document)
  if #errors > 0 then return nil, ("task \"%s\": %s"):format(name, table.concat(errors, "; ")) end
  run.tasks[name] = document
  return true
end

function APPLY.apply(run, value)
  if not is_object(value) or not is_name(value.name) then return nil, "apply is a task, with its name" end
  local document = copy_without_name(value)
  document.content = document.content or { command = "sleep 1" }
  local ok, reason = put_task(run, value.name, document)
  if not ok then return nil, reason end
  return "apply " .. value.name
end

function APPLY.scale(run, value)
  local before = is_object(value) and run.tasks[value.name]
  if not before then return nil, "scale is the name of a task that is there, and its replication" end
  local document = copy_without_name(before)
  document.replication = value.replication
  local ok, reason = put_task(run, value.name, document)
  if not ok then return nil, reason end
  return ("scale %s to %s"):format(value.name, tostring(value.replication))
end

function APPLY.remove(run, value)
  if not is_name(value) or not run.tasks[value] then return nil, "remove is the name of a task that is there" end
  run.arena:drop_task(value)
  run.tasks[value] = nil
  return "remove " .. value
end

--- What the events of a run need beside its arena.
-- @tparam Arena arena
-- @tparam table tasks documents by name, is changed
-- @tparam integer seed of the nodes that join
-- @treturn table `lost`, `lost_before`: replicas that went with their nodes, in all and when last measured
function M.new_run(arena, tasks, seed)
  return { arena = arena, tasks = tasks, random = random_numbers.new(seed + 1), joined = 0, lost = 0, lost_before = 0 }
end

--- Lets one event happen.
-- @tparam table run from `new_run`
-- @param event
-- @treturn[1] string what happened, for people
-- @treturn[2] nil
-- @treturn[2] string what is wrong with the event
function M.apply(run, event)
  local name, value = next(is_object(event) and event or {})
  if name == nil or next(event, name) ~= nil then return nil, "an event is an object with one field" end
  local apply = APPLY[name]
  local known = canonical.sorted_keys(APPLY)
  if not apply then return nil, ("\"%s\" is no event; %s"):format(tostring(name), suggest.hint(tostring(name), known)) end
  return apply(run, value)
end

return M
