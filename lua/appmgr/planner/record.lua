--- The records a policy is handed: read-only, and strict, so that a misspelt
-- field is an error with a line number and never a silent nil.
--
-- What is read of them is noted: two tasks that differ only in what nobody
-- looked at have the same scores.
local suggest = require("appmgr.suggest")

local M = {}

--- The fields of each record; those under `changing` are what placing changes, those under `costly` what is only found
-- out for who wants to know: a policy that looks at one has to say so in `reads`.
M.FIELDS = {
  task = { fixed = { "name", "replication", "priority", "max_per_node", "condition", "resources" }, changing = {} },
  node = {
    fixed = { "name", "position", "labels", "capacity" },
    changing = { "replicas", "task_replicas", "used", "free" }, costly = { "load" },
  },
  cluster = { fixed = { "nodes" }, changing = { "replicas" } },
}

-- Where a record has what it shows when it is asked; nobody else has this key.
local SOURCE = {}

local function refuse_write(_, key)
  error(("records are read-only; \"%s\" cannot be set"):format(tostring(key)), 2)
end

--- All names that may stand in a policy's `reads`.
-- @treturn {string,...} sorted
function M.readable()
  local list = {}
  for kind, fields in pairs(M.FIELDS) do
    for _, names in ipairs({ fields.changing, fields.costly or {} }) do
      for _, name in ipairs(names) do list[#list + 1] = kind .. "." .. name end
    end
  end
  table.sort(list)
  return list
end

local function sorted_keys(values)
  local keys = {}
  for key in pairs(values) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b)
    if math.type(a) and math.type(b) then return a < b end
    return tostring(a) < tostring(b)
  end)
  return keys
end

local function iterate(keys, values)
  local position = 0
  return function()
    position = position + 1
    local key = keys[position]
    if key ~= nil then return key, values[key] end
  end
end

--- Pairs in the order of the keys: a policy may depend on no other.
-- @tparam table values
-- @treturn function iterator
function M.sorted_pairs(values)
  return iterate(sorted_keys(values), values)
end

--- A read-only view of an open map (labels, capacity): what is absent is nil.
-- @tparam table values seen as they are when they are read
-- @tparam[opt] boolean is_fixed whether they never change
-- @treturn table
function M.map(values, is_fixed)
  local keys
  return setmetatable({}, {
    __index = values,
    __newindex = refuse_write,
    __pairs = function()
      if not is_fixed or not keys then keys = sorted_keys(values) end
      return iterate(keys, values)
    end,
    __metatable = "map",
  })
end

--- A read-only, strict view of a policy's options.
-- @tparam table values by name
-- @treturn table
function M.options(values)
  local function refuse(_, key)
    local known = {}
    for name in pairs(values) do known[#known + 1] = name end
    error(("the policy declares no option \"%s\"; %s"):format(tostring(key), suggest.hint(tostring(key), known)), 2)
  end
  local visible = setmetatable({}, { __index = refuse })
  for name, value in pairs(values) do rawset(visible, name, value) end
  return setmetatable({}, { __index = visible, __newindex = refuse_write, __metatable = "options" })
end

local function refuse_read(kind, key, undeclared, allowed)
  if undeclared[key] then
    error(("%s.%s is only there for a policy that declares it: reads = { \"%s.%s\" }"):format(kind, key, kind, key), 3)
  end
  local known = {}
  for name in pairs(allowed) do known[#known + 1] = name end
  error(("a %s has no field \"%s\"; %s"):format(kind, tostring(key), suggest.hint(tostring(key), known)), 3)
end

--- Makes records of one kind.
-- @tparam string kind "task", "node" or "cluster"
-- @tparam table reads set of declared names (`node.replicas`)
-- @tparam table noted `fields`: set of the fixed fields that were read of any record, `count`: how many; is added to
-- @treturn function(values) → record, and what is visible in it, where the caller keeps the changing fields that were
--   declared; `values` holds the fixed ones
function M.maker(kind, reads, noted)
  local allowed, fixed, undeclared = {}, {}, {}
  for _, name in ipairs(M.FIELDS[kind].fixed) do allowed[name], fixed[name] = true, true end
  for _, name in ipairs(M.FIELDS[kind].changing) do
    local set = reads[kind .. "." .. name] and allowed or undeclared
    set[name] = true
  end
  for _, name in ipairs(M.FIELDS[kind].costly or {}) do
    if reads[kind .. "." .. name] then allowed[name], fixed[name] = true, true else undeclared[name] = true end
  end
  -- One for all records: there is one for each task and node.
  local lookup = {
    __index = function(visible, key)
      if not fixed[key] then
        if allowed[key] then return nil end
        refuse_read(kind, key, undeclared, allowed)
      end
      if not noted.fields[key] then
        noted.fields[key], noted.count = true, noted.count + 1
      end
      local value = rawget(visible, SOURCE)[key]
      rawset(visible, key, value)
      return value
    end,
  }
  return function(values)
    local visible = setmetatable({ [SOURCE] = values }, lookup)
    return setmetatable({}, { __index = visible, __newindex = refuse_write, __metatable = kind }), visible
  end
end

return M
