--- Methods that change the local applications of this node, any number in one request.
--
-- The answer says of each what became of it; one that is refused keeps no other from being changed. What is refused as a
-- whole (the disk takes nothing, a document cannot be read) has changed nothing.

local Turns = require("appmgr.turns")
local application = require("appmgr.application")
local applications = require("appmgr.control.applications")
local json = require("appmgr.json")

local M = {}

--- Takes items one after the other without holding the loop for long; a client that went away ends it.
local function each_in_turns(agent, request, items, take, done)
  local core, index = agent.core, 0
  Turns.new({ defer = core.loop.defer, now_ms = core.timer.now_ms }):run(function()
    index = index + 1
    if request.closed then return false end
    if index <= #items then take(items[index], index) end
    return index < #items
  end, function()
    if not request.closed then done() end
  end)
end

--- Whether a value is an array of texts.
local function is_list_of_texts(value)
  if type(value) ~= "table" then return false end
  local count = 0
  for _, item in pairs(value) do
    if type(item) ~= "string" then return false end
    count = count + 1
  end
  return count == #value
end

-- Adding ---------------------------------------------------------------------

--- Reads one document.
-- @treturn[1] table {document, app} for Locals:add
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
local function read_one(text)
  local document, err = json.decode(text)
  if document == nil then return nil, "it is no JSON: " .. (err or "null") end
  local app, errors = application.read_local(document)
  if app then return { document = document, app = app } end
  return nil, table.concat(errors, "; ")
end

--- Says who took a task's name.
local function warn_of_tasks(agent, results)
  local tasks = agent.apps:tasks()
  for _, result in ipairs(results) do
    if tasks[result.name] and not result.error then
      result.warning = ('task "%s" is not run on node "%s" while a local application has its name'):format(
        result.name, agent.node)
    end
  end
end

--- app.add {documents=[text]} → [{name, outcome="created"|"updated"|"unchanged", warning} or {name, error={code, message}}]
--
-- Nothing is added when one document cannot be read.
function M.add(agent, request)
  if applications.is_ending(agent, request) then return end
  local texts, list = request.params.documents, {}
  if not is_list_of_texts(texts) then
    return request:fail("bad_request", '"documents" is an array of the applications\' texts')
  end
  each_in_turns(agent, request, texts, function(text, index)
    local read, err = read_one(text)
    if not read then return request:fail("bad_request", ("document %d: %s; nothing was added"):format(index, err)) end
    list[index] = read
  end, function()
    if applications.is_ending(agent, request) then return end
    local results, code, message = agent.locals:add(list)
    if not results then return request:fail(code, message) end
    warn_of_tasks(agent, results)
    request:reply(json.array(results))
  end)
end

-- Changing by name -----------------------------------------------------------

--- Why an application is not changed here: it is a replica, and so its task's to decide.
local function refusal_of_replica(agent, name, action)
  local row = agent.apps:row(name)
  if not (row and row.task) or agent.locals:is_added(name) then return nil end
  return { name = name, error = { code = "conflict", message = ('application "%s" is a replica of task "%s": %s'):format(
    name, row.task, applications.instead_of[action](row)) } }
end

--- Changes what may be changed of the names that a request names.
-- @tparam string action as in `applications.instead_of`
-- @tparam function change (names) → results of node/locals.lua
-- @treturn ?{table,...} a result for each name, nil when the request was refused
local function change_names(agent, request, action, change)
  if applications.is_ending(agent, request) then return nil end
  local names = request.params.names
  if not is_list_of_texts(names) then
    request:fail("bad_request", '"names" is an array of the applications\' names')
    return nil
  end
  local results, own, places = json.array({}), {}, {}
  for index, name in ipairs(names) do
    results[index] = refusal_of_replica(agent, name, action) or false
    if not results[index] then own[#own + 1], places[#own + 1] = name, index end
  end
  local changed, code, message = change(own)
  if not changed then
    request:fail(code, message)
    return nil
  end
  for place, result in ipairs(changed) do results[places[place]] = result end
  return results
end

--- app.remove {names} → [{name, outcome="removed"} or {name, error={code, message}}]
function M.remove(agent, request)
  local results = change_names(agent, request, "remove", function(names) return agent.locals:remove(names) end)
  if results then request:reply(results) end
end

--- app.disable {names} → [{name, outcome="disabled"|"unchanged"} or {name, error={code, message}}]
function M.disable(agent, request)
  local results = change_names(agent, request, "disable", function(names) return agent.locals:set_status(names, 0) end)
  if results then request:reply(results) end
end

local AT_REST = { failed = true, gave_up = true }

--- app.enable {names} → [{name, outcome="enabled"|"unchanged"} or {name, error={code, message}}]; what ended for good or gave
-- up is started again
function M.enable(agent, request)
  local rested = {}
  local results = change_names(agent, request, "enable", function(names)
    for _, name in ipairs(names) do
      local row = agent.apps:row(name)
      rested[name] = row and AT_REST[row.state]
    end
    return agent.locals:set_status(names, 1)
  end)
  if not results then return end
  each_in_turns(agent, request, results, function(result)
    if rested[result.name] and not result.error and agent.apps:restart(result.name, function() end) then
      result.outcome = "enabled"
    end
  end, function() request:reply(results) end)
end

return M
