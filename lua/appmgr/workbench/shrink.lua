--- Makes a failing case smaller for as long as it fails: who reads it shall see what matters.
local canonical = require("appmgr.planner.rules.canonical")

local M = {}

local function copy(value)
  if type(value) ~= "table" then return value end
  local result = {}
  for key, each in pairs(value) do result[key] = copy(each) end
  return result
end

local function without(case, folder, name)
  local smaller = copy(case)
  smaller[folder][name] = nil
  return smaller
end

local function without_field(case, folder, name, field)
  local smaller = copy(case)
  smaller[folder][name][field] = nil
  return smaller
end

local function fewer_replicas(case, name)
  local replication = case.tasks[name].replication
  if math.type(replication) ~= "integer" or replication <= 1 then return nil end
  local smaller = copy(case)
  smaller.tasks[name].replication = replication // 2
  return smaller
end

--- All cases that are a step smaller, the large steps first.
local function candidates(case)
  local list = {}
  for _, folder in ipairs({ "tasks", "nodes", "intents" }) do
    for _, name in ipairs(canonical.sorted_keys(case[folder])) do list[#list + 1] = without(case, folder, name) end
  end
  for _, name in ipairs(canonical.sorted_keys(case.tasks)) do
    list[#list + 1] = fewer_replicas(case, name)
    for _, field in ipairs(canonical.sorted_keys(case.tasks[name])) do
      if field ~= "content" then list[#list + 1] = without_field(case, "tasks", name, field) end
    end
  end
  return list
end

--- @tparam table case see cases.random, one that fails
-- @tparam function fails (case) → boolean
-- @treturn table a case that fails and of which nothing can be left out
function M.smallest(case, fails)
  local found = true
  while found do
    found = false
    for _, smaller in ipairs(candidates(case)) do
      if fails(smaller) then
        case, found = smaller, true
        break
      end
    end
  end
  return case
end

return M
