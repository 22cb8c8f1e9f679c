--- Which versions a decision needs and which may go.
local M = {}

--- How many versions of a task are kept, to go back to.
M.KEEP = 10

--- The versions that the decision names and the store lacks.
-- @tparam {state,...} states of the engine's result
-- @tparam Holdings holdings
-- @treturn {table,...} `task`, `hash`, `text`
function M.missing(states, holdings)
  local list = {}
  for _, state in ipairs(states) do
    local task = state.mode == "normal" and state.entry.task
    local is_used = task and (#state.placed > 0 or #state.moved > 0)
    if is_used and not holdings:has_version(task.name, task.version) then
      list[#list + 1] = { task = task.name, hash = task.version, text = task.content_text }
    end
  end
  return list
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
