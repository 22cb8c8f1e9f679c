--- The records a policy is handed: read-only, and strict, so that a misspelt
-- field is an error with a line number and never a silent nil.
local suggest = require("appmgr.suggest")

local M = {}

--- The fields of each record; those under `changing` are what placing changes,
-- so a score that looks at one has to say so in `reads`.
M.FIELDS = {
  task = { fixed = { "name", "replication", "priority", "max_per_node", "condition" }, changing = {} },
  node = { fixed = { "name", "position", "labels", "capacity" }, changing = { "replicas", "task_replicas" } },
  cluster = { fixed = { "nodes" }, changing = { "replicas" } },
}

local function refuse_write(_, key)
  error(("records are read-only; \"%s\" cannot be set"):format(tostring(key)), 2)
end

--- All names that may stand in a policy's `reads`.
-- @treturn {string,...} sorted
function M.readable()
  local list = {}
  for kind, fields in pairs(M.FIELDS) do
    for _, name in ipairs(fields.changing) do list[#list + 1] = kind .. "." .. name end
  end
  table.sort(list)
  return list
end

--- Pairs in the order of the keys: a policy may depend on no other.
-- @tparam table values
-- @treturn function iterator
function M.sorted_pairs(values)
  local keys = {}
  for key in pairs(values) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if math.type(a) and math.type(b) then return a < b end
    return tostring(a) < tostring(b)
  end)
  local position = 0
  return function()
    position = position + 1
    local key = keys[position]
    return key, values[key]
  end
end

--- A read-only view of an open map (labels, capacity): what is absent is nil.
-- @tparam table values
-- @treturn table
function M.map(values)
  return setmetatable({}, {
    __index = values,
    __newindex = refuse_write,
    __pairs = function() return M.sorted_pairs(values) end,
    __metatable = "map",
  })
end

local function refuse_read(kind, key, undeclared, visible)
  if undeclared[key] then
    error(("%s.%s changes while placing; declare it: reads = { \"%s.%s\" }"):format(kind, key, kind, key), 3)
  end
  local known = {}
  for name in pairs(visible) do known[#known + 1] = name end
  error(("a %s has no field \"%s\"; %s"):format(kind, tostring(key), suggest.hint(tostring(key), known)), 3)
end

--- Makes records of one kind.
-- @tparam string kind "task", "node" or "cluster"
-- @tparam table reads set of declared names (`node.replicas`)
-- @treturn function(values) → record over these values, which stay the caller's to change
function M.maker(kind, reads)
  local visible, undeclared = {}, {}
  for _, name in ipairs(M.FIELDS[kind].fixed) do visible[name] = true end
  for _, name in ipairs(M.FIELDS[kind].changing) do
    local set = reads[kind .. "." .. name] and visible or undeclared
    set[name] = true
  end
  return function(values)
    return setmetatable({}, {
      __index = function(_, key)
        if not visible[key] then refuse_read(kind, key, undeclared, visible) end
        return values[key]
      end,
      __newindex = refuse_write,
      __metatable = kind,
    })
  end
end

return M
