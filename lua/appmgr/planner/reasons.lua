--- Why replicas are not placed: codes with arguments and counts while deciding,
-- sentences only where somebody reads them.
local M = {}

-- Every node may have a label of its own; nobody reads them all.
local MAX_REASONS = 6

local TEXT = {
  drain = "being drained",
  ineligible = "not eligible",
  unreadable = "their documents cannot be read",
  stranger = "belong to another cluster",
  local_name = "have an application of their own with that name",
  no_tasks = "take no tasks (Tasks.enabled is false there)",
  not_allowed = "not allowed there: %(what)s %(value)s",
  condition = "label %(label)s is \"%(value)s\", it asks for \"%(pattern)s\"",
  condition_missing = "no label %(label)s, it asks for \"%(pattern)s\"",
  max_per_node = "have max_per_node (%(limit)s) of it",
  node_full = "have %(limit)s replicas, the most an assignment can hold",
  policy = "refused by the policy: %(code)s",
  policy_detail = "refused by the policy: %(code)s (%(detail)s)",
}

local TASK_TEXT = {
  invalid = "the document cannot be used: %(error)s",
  unsupported = "it asks for what this version does not honour: %(fields)s",
  leaving = "waiting until slot %(slot)s has stopped on %(node)s",
  host_unreadable = "waiting for %(node)s to say what it runs (its assignment cannot be read)",
  policy_failed = "the policy failed for it (%(outcome)s): %(message)s",
  no_nodes = "no node is there",
}

local function fill(template, args)
  return (template:gsub("%%%((%w+)%)s", function(name) return tostring(args[name]) end))
end

--- A collector that counts equal reasons.
-- @treturn table `add(reason)`, `list()`: reasons with `count`, most frequent first
function M.counter()
  local by_key, list = {}, {}

  local function key_of(reason)
    local parts = { reason.code }
    for name, value in pairs(reason.args or {}) do parts[#parts + 1] = name .. "=" .. tostring(value) end
    table.sort(parts)
    return table.concat(parts, "\0")
  end

  local counter = {}

  function counter.add(reason)
    local key = key_of(reason)
    if not by_key[key] then
      by_key[key] = { code = reason.code, args = reason.args, count = 0, key = key }
      list[#list + 1] = by_key[key]
    end
    by_key[key].count = by_key[key].count + 1
  end

  function counter.list()
    table.sort(list, function(a, b)
      if a.count ~= b.count then return a.count > b.count end
      return a.key < b.key
    end)
    local result = {}
    for index, reason in ipairs(list) do
      result[index] = { code = reason.code, args = reason.args, count = reason.count }
    end
    return result
  end

  return counter
end

--- One reason as a sentence.
-- @tparam table reason `code`, `args`, and for nodes `count`
-- @treturn string
function M.text(reason)
  local args = reason.args or {}
  if TASK_TEXT[reason.code] then
    return fill(TASK_TEXT[reason.code], args)
  end
  return fill(TEXT[reason.code] or reason.code, args)
end

--- All reasons of one task as a sentence; the rare ones of many are only counted.
-- @tparam {reason,...} list
-- @tparam integer nodes how many nodes there are
-- @treturn string for example `3 of 8 nodes: label zone is "b", it asks for "a"; 5: not eligible`
function M.sentence(list, nodes)
  local parts, counted = {}, 0
  for position, reason in ipairs(list) do
    if position > MAX_REASONS then
      parts[#parts + 1] = ("and %d more reasons"):format(#list - MAX_REASONS)
      break
    end
    if TASK_TEXT[reason.code] or not reason.count then
      parts[#parts + 1] = M.text(reason)
    else
      counted = counted + 1
      local amount = counted == 1 and ("%d of %d nodes"):format(reason.count, nodes) or tostring(reason.count)
      parts[#parts + 1] = amount .. ": " .. M.text(reason)
    end
  end
  return table.concat(parts, "; ")
end

return M
