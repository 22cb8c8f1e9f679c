--- Which versions a decision needs and which may go.
local M = {}

--- How many versions of a task are kept, to go back to.
M.KEEP = 10

local LOST = 'task "%s": version/%s/%s is not in Consul any more and its text is not known: a slot that has it cannot be '
  .. "started anew before it gets the task's current version"

local function lost(name, version)
  return { key = ("version/%s/%s"):format(name, version), text = LOST:format(name, name, version) }
end

--- The versions that slots shall run and the store lacks, whether the slots are new or stay. Of a task's versions only
-- the current one has a text to be written.
-- @tparam {state,...} states of the engine's result
-- @tparam Holdings holdings
-- @treturn {table,...} `task`, `hash`, `text`
-- @treturn {table,...} problems: what is lacking and cannot be written
function M.missing(states, holdings)
  local list, problems = {}, {}
  for _, state in ipairs(states) do
    local task, seen = state.entry and state.entry.task, {}
    for _, holder in ipairs(state.staying) do
      local name, version = holder.result.task, holder.result.version
      if not seen[version] and not holdings:has_version(name, version) then
        if task and task.version == version then
          list[#list + 1] = { task = name, hash = version, text = task.content_text }
        else
          problems[#problems + 1] = lost(name, version)
        end
      end
      seen[version] = true
    end
  end
  return list, problems
end

local function referenced(result, holdings)
  local used = {}
  for _, by_host in ipairs({ result.desired, holdings.decided }) do
    for _, replicas in pairs(by_host) do
      for _, replica in ipairs(replicas) do used[replica.task .. "/" .. replica.version] = true end
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

--- The versions that nothing refers to and that are beyond the number to keep;
-- of a removed task all, of one whose document cannot be read none.
-- @tparam table result of the engine
-- @tparam Holdings holdings
-- @treturn {table,...} `task`, `hash`
function M.old(result, holdings)
  local used, entries, list = referenced(result, holdings), {}, {}
  for _, state in ipairs(result.states) do
    if state.entry then entries[state.entry.name] = state.entry end
  end
  for name, versions in pairs(holdings.versions) do
    local entry = entries[name]
    local hashes = oldest_first(versions)
    local surplus = #hashes - (entry and M.KEEP or 0)
    if entry and not entry.task then surplus = 0 end
    for _, hash in ipairs(hashes) do
      local is_current = entry and entry.task and entry.task.version == hash
      if surplus > 0 and not is_current and not used[name .. "/" .. hash] then
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
