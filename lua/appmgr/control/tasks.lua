--- Methods that change task documents: read, compare, write with check-and-set.

local clock = require("appmgr.clock")
local confirm = require("appmgr.control.confirm")
local json = require("appmgr.json")
local modify = require("appmgr.control.modify")
local names = require("appmgr.names")
local store = require("appmgr.control.store")
local suggest = require("appmgr.suggest")

local M = {}

local function same_document(left, right)
  if left == right then return true end
  local left_value, right_value = json.decode(left), json.decode(right)
  return type(left_value) == "table" and type(right_value) == "table"
    and json.encode(left_value) == json.encode(right_value)
end

--- Says that there is no such task, with the nearest name there is.
local function refuse_unknown(agent, request, name)
  agent.client:get("task/", { keys = true }, function(answer)
    local keys = answer and answer.status == 200 and agent.client.keys(answer.body) or {}
    local known = {}
    for _, key in ipairs(keys) do known[#known + 1] = key:match("([^/]+)$") end
    local near = suggest.nearest(name, known)
    local hint = near and ('; did you mean "%s"?'):format(near) or '; "appmgr tasks" lists those there are'
    request:fail("not_found", ('there is no task "%s"%s'):format(name, hint))
  end)
end

-- Fewer replicas than before, as far as the documents say.
local function is_fewer(before, after)
  local old, new = json.decode(before or ""), json.decode(after)
  old, new = type(old) == "table" and old.replication or 1, type(new) == "table" and new.replication or 1
  return new ~= "all" and (old == "all" or math.type(old) and math.type(new) and new < old)
end

--- Reads a task and hands its text to `change(text|nil)`, see modify.lua.
-- @tparam[opt] boolean is_meant a command that says how many are meant confirms that the others may stop
local function modify_task(agent, request, change, is_meant)
  local name = request.params.name
  modify.document(agent, request, {
    name = name, key = "task/" .. name, what = ('task "%s"'):format(name),
    refuse_unknown = function() refuse_unknown(agent, request, name) end,
    confirm = is_meant and function(entry, text, continue)
      if not is_fewer(entry and entry.value, text) then return continue() end
      confirm.of_change(agent, "task-" .. name, name, text, continue)
    end,
  }, function(entry) return change(entry and (entry.value or "")) end) -- Consul gives an empty value as none
end

--- Refuses what cannot be a request about one task.
local function is_refused(agent, request)
  if store.is_missing(agent, request) then return true end
  local ok, err = names.check(request.params.name)
  if ok then return false end
  request:fail("bad_request", "the task's name: " .. err)
  return true
end

-- What a plan is made from, beside what the leader decided itself.
local PLANNED_FROM <const> = { "task/", "live/", "node/" }

--- Refuses when anything that a plan was made from changed since.
local function when_unmoved(agent, request, continue)
  local known = request.params.check_index
  if known == nil then return continue() end
  if math.type(known) ~= "integer" then return request:fail("bad_request", '"check_index" is the index that a plan shows') end
  local function look(position)
    local folder = PLANNED_FROM[position]
    if not folder then return continue() end
    agent.client:get(folder, { keys = true, consistent = true }, function(answer, err)
      if err then return request:fail("failed", ("%s could not be read: %s"):format(folder, store.text(err))) end
      if (answer.index or 0) <= known then return look(position + 1) end
      request:fail("moved_on", ('something under %s changed since the plan with index %d; nothing was written, make a new plan')
        :format(folder, known))
    end)
  end
  look(1)
end

--- task.apply {name, document=text, check_index=integer?} → {name, outcome="created"|"updated"|"unchanged"}
function M.apply(agent, request)
  if is_refused(agent, request) then return end
  local document = request.params.document
  if type(document) ~= "string" then return request:fail("bad_request", '"document" is the task\'s text') end
  when_unmoved(agent, request, function()
    modify_task(agent, request, function(current)
      return current and same_document(current, document) or document
    end)
  end)
end

--- Reads a task, changes its decoded document and writes it.
-- @tparam function change function(document) → true when it was changed; false (nothing to do); nil, code, message
-- @tparam[opt] boolean is_meant see modify_task
local function edit(agent, request, change, is_meant)
  modify_task(agent, request, function(current)
    if not current then return nil, "not_found" end
    local document, err = json.decode(current)
    if type(document) ~= "table" or json.is_array(document) then
      local text = 'the document of task "%s" is no JSON object (%s); repair it with "appmgr task apply"'
      return nil, "failed", text:format(request.params.name, err or "another kind of value")
    end
    local changed, code, message = change(document)
    if changed == nil then return nil, code, message end
    return not changed or json.encode(document, { pretty = true })
  end, is_meant)
end

--- The application in a task's document.
-- @treturn ?table
-- @treturn ?string code
-- @treturn ?string message
local function content_of(request, document)
  local content = document.content
  if type(content) == "table" and not json.is_array(content) then return content end
  return nil, "failed", ('task "%s" has no content that could be changed; repair it with "appmgr task apply"'):format(
    request.params.name)
end

--- task.scale {name, replication=integer|"all"} → {name, outcome, from}
function M.scale(agent, request)
  if is_refused(agent, request) then return end
  local wanted = request.params.replication
  if wanted ~= "all" and math.type(wanted) ~= "integer" then
    return request:fail("bad_request", '"replication" is a whole number or "all"')
  end
  edit(agent, request, function(document)
    if document.replication == wanted then return false end
    document.replication = wanted
    return true
  end, true)
end

local function set_status(agent, request, status)
  if is_refused(agent, request) then return end
  edit(agent, request, function(document)
    local content, code, message = content_of(request, document)
    if not content then return nil, code, message end
    -- What is not written is 1, as the document's reader has it.
    if content.status == status or (status == 1 and content.status == nil) then return false end
    content.status = status
    return true
  end)
end

--- task.enable {name} → {name, outcome="updated"|"unchanged"}
function M.enable(agent, request)
  set_status(agent, request, 1)
end

--- task.disable {name} → {name, outcome="updated"|"unchanged"}
function M.disable(agent, request)
  set_status(agent, request, 0)
end

--- task.restart {name} → {name, outcome="updated"|"unchanged" (it was, in this second)}: a field of the content is
-- changed that means nothing but that; the leader rolls it out as any other change
function M.restart(agent, request)
  if is_refused(agent, request) then return end
  edit(agent, request, function(document)
    local content, code, message = content_of(request, document)
    if not content then return nil, code, message end
    if content.status == 0 then
      local text = 'task "%s" is disabled: nothing of it runs; "appmgr task enable %s" starts it'
      return nil, "conflict", text:format(request.params.name, request.params.name)
    end
    local now = clock.text(clock.now())
    if content.restarted_at == now then return false end
    content.restarted_at = now
    return true
  end)
end

--- task.remove {name} → {name, outcome="removed"}
function M.remove(agent, request)
  if is_refused(agent, request) then return end
  local name = request.params.name
  local key = "task/" .. name
  store.entry(agent, key, function(entry, err)
    if err then return request:fail("failed", ('task "%s" could not be read: %s'):format(name, store.text(err))) end
    if not entry then return refuse_unknown(agent, request, name) end
    confirm.of_change(agent, "task-" .. name, name, nil, function()
      agent.client:delete(key, { cas = entry.modify_index }, function(deleted, delete_error)
        if deleted then return request:reply({ name = name, outcome = "removed" }) end
        local reason = delete_error and store.text(delete_error)
          or "somebody changed it at the same moment; look at it and try again"
        request:fail(delete_error and "failed" or "conflict", ('task "%s" was not removed: %s'):format(name, reason))
      end)
    end)
  end)
end

return M
