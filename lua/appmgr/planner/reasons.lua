--- Why replicas are not placed: codes with arguments and counts while deciding,
-- sentences only where somebody reads them.
local M = {}

-- Every node may have a label of its own; nobody reads them all.
local MAX_REASONS = 6

local TEXT = {
  drain = "being drained",
  ineligible = "not eligible",
  gone = "away for the moment",
  avoided = "avoided for a while: it kept failing there",
  unreadable = "their documents cannot be read",
  stranger = "belong to another cluster",
  local_name = "have an application of their own with that name",
  no_tasks = "take no tasks (Tasks.enabled is false there)",
  not_allowed = "not allowed there: %(what)s %(value)s",
  condition = "label %(label)s is \"%(value)s\", it asks for \"%(pattern)s\"",
  condition_various = "label %(label)s is not \"%(pattern)s\"",
  condition_missing = "no label %(label)s, it asks for \"%(pattern)s\"",
  constraint = "%(attribute)s is \"%(value)s\", it asks for %(wanted)s",
  constraint_various = "%(attribute)s does not meet %(wanted)s",
  constraint_missing = "no %(attribute)s, it asks for %(wanted)s",
  resource = "%(resource)s, short by %(short_by)s",
  resource_various = "%(resource)s, short by %(short_by)s or more",
  resource_missing = "have no %(resource)s",
  port = "port %(port)s (%(name)s) is taken",
  ports_missing = "give no ports away",
  ports_used_up = "all ports from %(first)s to %(last)s are taken",
  with = "no replica of %(task)s there (%(per)s), which it is to be with",
  apart_from = "a replica of %(task)s is there (%(per)s), which it is to be apart from",
  kept_apart = "a replica of %(task)s is there (%(per)s), which is to be apart from it",
  relation_missing = "no label %(label)s, which says where %(task)s is",
  max_per_node = "have max_per_node (%(limit)s) of it",
  node_full = "have %(limit)s replicas, the most an assignment can hold",
  policy = "refused by the policy: %(code)s",
  policy_detail = "refused by the policy: %(code)s (%(detail)s)",
}

local TASK_TEXT = {
  invalid = "the document cannot be used: %(error)s",
  unsupported = "it asks for what this version does not honour: %(fields)s",
  leaving = "waiting until slot %(slot)s has stopped on %(node)s",
  ports_stuck = "slot %(slot)s stays as it was on %(node)s, where its new ports are not to be had: %(why)s",
  host_unreadable = "waiting for %(node)s to say what it runs (its assignment cannot be read)",
  policy_failed = "the policy failed for it (%(outcome)s): %(message)s",
  making_room = "waiting until others have made room for slot %(slot)s on %(node)s",
  no_nodes = "no node is there",
  start_rate = "waiting: so many replicas are started at a time, and no more",
}

local function fill(template, args)
  return (template:gsub("%%%(([%w_]+)%)s", function(name) return tostring(args[name]) end))
end

-- What differs from node to node does not make another reason: nobody wants to read each node's value. What stands for
-- them all is the value where it is the same, and the least shortage.
local VARIES = { value = true, short_by = true }

local function key_of(reason)
  local parts = { reason.code }
  for name, value in pairs(reason.args or {}) do
    if not VARIES[name] then parts[#parts + 1] = name .. "=" .. tostring(value) end
  end
  table.sort(parts)
  return table.concat(parts, "\0")
end

local function copy(args)
  if not args then return nil end
  local made = {}
  for name, value in pairs(args) do made[name] = value end
  return made
end

local function merge(counted, args)
  local known = counted.args
  if not args or not known then return end
  if known.value ~= args.value then
    known.value, counted.is_various = nil, true
  end
  if known.short_by ~= args.short_by then
    known.short_by, counted.is_various = math.min(known.short_by, args.short_by), true
  end
end

--- A collector that counts equal reasons.
-- @treturn table `add(reason, count)`: one, or `count` nodes; `list()`: reasons with `count`, most frequent first;
--   `is_various` where nodes differ in what they have
function M.counter()
  local by_key, list = {}, {}
  local counter = {}

  function counter.add(reason, count)
    local key = key_of(reason)
    local counted = by_key[key]
    if counted then
      merge(counted, reason.args)
    else
      counted = { code = reason.code, args = copy(reason.args), count = 0, key = key }
      by_key[key], list[#list + 1] = counted, counted
    end
    counted.count = counted.count + (count or 1)
  end

  function counter.list()
    table.sort(list, function(a, b)
      if a.count ~= b.count then return a.count > b.count end
      return a.key < b.key
    end)
    local result = {}
    for index, reason in ipairs(list) do
      result[index] = { code = reason.code, args = copy(reason.args), count = reason.count, is_various = reason.is_various }
    end
    return result
  end

  return counter
end

--- One reason as a sentence.
-- @tparam table reason `code`, `args`, and for nodes `count` and `is_various`
-- @treturn string
function M.text(reason)
  local args = reason.args or {}
  if TASK_TEXT[reason.code] then
    return fill(TASK_TEXT[reason.code], args)
  end
  local template = reason.is_various and TEXT[reason.code .. "_various"] or TEXT[reason.code]
  return fill(template or reason.code, args)
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
