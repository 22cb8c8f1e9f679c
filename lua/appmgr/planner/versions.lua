--- Which versions a decision needs and which may go.
local M = {}

--- How many versions of a task are kept, to go back to.
M.KEEP = 10

local LOST = 'task "%s": version/%s/%s is not in Consul any more and its text is not known: a slot that has it cannot be '
  .. "started anew before it gets the task's current version"

local function lost(name, version)
  return { key = ("version/%s/%s"):format(name, version), text = LOST:format(name, name, version) }
end

-- The versions of one task, in the order in which its slots name them.
local function wanted(engine, name)
  local list, seen = {}, {}
  engine:each_holder(name, function(holder)
    local version = holder.replica.version
    if not holder.replica.leaving and not seen[version] then
      list[#list + 1], seen[version] = version, true
    end
  end)
  table.sort(list)
  return list
end

--- The versions that slots shall run and the store lacks, whether the slots are new or stay. Of a task's versions only
-- the current one has a text to be written.
-- @tparam Engine engine that has decided
-- @tparam {string,...} names of the tasks that are looked at
-- @tparam Holdings holdings
-- @treturn {table,...} `task`, `hash`, `text`
-- @treturn table problems by task: {problem,...}, what is lacking and cannot be written
function M.missing(engine, names, holdings)
  local list, problems = {}, {}
  for _, name in ipairs(names) do
    local entry = engine:entry(name)
    local task = entry and entry.task
    for _, version in ipairs(wanted(engine, name)) do
      if not holdings:has_version(name, version) then
        if task and task.version == version then
          list[#list + 1] = { task = name, hash = version, text = task.content_text }
        else
          problems[name] = problems[name] or {}
          table.insert(problems[name], lost(name, version))
        end
      end
    end
  end
  return list, problems
end

-- What slots of a task have, by the decision and by what is written until the decision is.
local function referenced(engine, changes, holdings, name)
  local used = {}
  engine:each_holder(name, function(holder) used[holder.replica.version] = true end)
  for host in pairs(changes) do
    for _, replica in ipairs(holdings.decided[host] or {}) do
      if replica.task == name then used[replica.version] = true end
    end
  end
  return used
end

local function oldest_first(versions)
  local hashes = {}
  for hash in pairs(versions) do hashes[#hashes + 1] = hash end
  table.sort(hashes, function(a, b) return versions[a] < versions[b] end)
  return hashes
end

-- How many versions of a task may go.
local function surplus_of(engine, name, hashes)
  local entry = engine:entry(name)
  if entry and not entry.task then return 0 end
  return #hashes - (entry and M.KEEP or 0)
end

--- The versions that nothing refers to and that are beyond the number to keep;
-- of a removed task all, of one whose document cannot be read none.
-- @tparam Engine engine that has decided
-- @tparam table changes see Engine.decide
-- @tparam Holdings holdings
-- @treturn {table,...} `task`, `hash`
function M.old(engine, changes, holdings)
  local list = {}
  for name, versions in pairs(holdings.versions) do
    local hashes = oldest_first(versions)
    local surplus = surplus_of(engine, name, hashes)
    local used = surplus > 0 and referenced(engine, changes, holdings, name)
    local entry = engine:entry(name)
    local current = entry and entry.task and entry.task.version
    for _, hash in ipairs(surplus > 0 and hashes or {}) do
      if surplus > 0 and hash ~= current and not used[hash] then
        list[#list + 1] = { task = name, hash = hash }
        surplus = surplus - 1
      end
    end
  end
  table.sort(list, function(a, b)
    if a.task ~= b.task then return a.task < b.task end
    return a.hash < b.hash
  end)
  return list
end

return M
