--- The model's tasks: what stands under `task/`, parsed once per change.
local task_document = require("appmgr.task")

local Tasks = {}
Tasks.__index = Tasks

--- @tparam table deps `json`, `codec`
-- @treturn Tasks
function Tasks.new(deps)
  return setmetatable({ deps = deps, by_name = {}, stray = {}, has_folder = false, read = false }, Tasks)
end

local function parse(name, value, deps)
  local task, findings = task_document.parse(name, value, deps.json, deps.codec)
  return { name = name, value = value, task = task, errors = findings.errors, warnings = findings.warnings }
end

--- Takes a listing of `task/`. Without the folder key it is no answer: Consul
-- shows a token without permission an empty store.
-- @tparam {entry,...} entries see listing.read
function Tasks:feed(entries)
  local by_name, stray, has_folder = {}, {}, false
  for _, entry in ipairs(entries) do
    local name, reason = task_document.name_of(entry.key)
    if name then
      local known = self.by_name[name]
      by_name[name] = known and known.value == entry.value and known or parse(name, entry.value, self.deps)
    elseif reason then
      stray[#stray + 1] = { key = entry.key, reason = reason }
    end
    has_folder = has_folder or entry.key == "task/"
  end
  self.read, self.has_folder = true, has_folder
  if has_folder then
    self.by_name, self.stray = by_name, stray
  end
end

--- Takes a document as if it stood in Consul.
-- @tparam string name
-- @tparam string text
function Tasks:imagine(name, text)
  self.by_name[name] = parse(name, text, self.deps)
end

--- All tasks in the order in which they are placed: priority, then name.
-- @treturn {table,...} `name`, `task` (nil while the document cannot be used), `errors`, `warnings`
function Tasks:list()
  local list = {}
  for _, entry in pairs(self.by_name) do list[#list + 1] = entry end
  table.sort(list, function(a, b)
    local first, second = a.task and a.task.priority or 0, b.task and b.task.priority or 0
    if first ~= second then return first > second end
    return a.name < b.name
  end)
  return list
end

--- What operators should hear about the documents.
-- @treturn {table,...} `key`, `text`
function Tasks:problems()
  local list = {}
  for _, stray in ipairs(self.stray) do
    list[#list + 1] = { key = stray.key, text = stray.reason }
  end
  for name, entry in pairs(self.by_name) do
    if #entry.errors > 0 then
      local text = ("task \"%s\": %s; what runs of it stays as it is"):format(name, table.concat(entry.errors, "; "))
      list[#list + 1] = { key = "task/" .. name, text = text }
    end
  end
  return list
end

return Tasks
