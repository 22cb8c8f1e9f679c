--- Resources: an open vector of whole numbers, by name. What a node has and what
-- a task asks for are the same kind of table.
local amounts = require("appmgr.amounts")
local canonical = require("appmgr.planner.rules.canonical")

local M = {}

--- Largest number of anything; sums and products of it stay whole.
M.MAX = amounts.MAX

--- What a task takes that does not say: about what an idle process needs. These
-- count where a node declares them, and keep a task from no other node.
M.DEFAULTS = { cpu = 1, memory_mb = 1 }

--- The factor a resource is multiplied by, as far as it makes sense.
local function scaled(amount, factor)
  if not factor then return amount end
  return math.min(M.MAX, math.tointeger(amount * factor // 1) or amount)
end

--- What a node has for tasks: its capacity times overcommit, less what it keeps for itself and what local applications
-- use. Negative where it has promised more than it has.
-- @tparam table node `capacity`, and optionally `overcommit`, `reserved`, `local_used`
-- @treturn table name → whole number, the caller's to change
function M.available(node)
  local factors, reserved, used = node.overcommit or {}, node.reserved or {}, node.local_used or {}
  local result = {}
  for name, amount in pairs(node.capacity) do
    result[name] = scaled(amount, factors[name]) - (reserved[name] or 0) - (used[name] or 0)
  end
  return result
end

--- Whether there is room.
-- @tparam table free name → whole number
-- @tparam table request name → whole number
-- @tparam ?table defaulted set of the names that the task did not ask for itself: what is not declared is not needed
-- @treturn ?string nil when there is, else the first name (in order) of which there is too little
-- @treturn ?integer how much is missing
-- @treturn ?boolean true when the node does not have it at all
function M.fits(free, request, defaulted)
  local short, short_by, is_absent
  for name, amount in pairs(request) do
    local have = free[name]
    local is_needed = amount > 0 and (have ~= nil or not (defaulted and defaulted[name]))
    if is_needed and (have or 0) < amount and (not short or name < short) then
      short, short_by, is_absent = name, amount - (have or 0), have == nil
    end
  end
  return short, short_by, is_absent
end

--- The reason for a node without room.
-- @tparam string name from `fits`
-- @tparam integer short_by
-- @tparam boolean is_absent
-- @treturn table
function M.reason(name, short_by, is_absent)
  if is_absent then return { code = "resource_missing", args = { resource = name } } end
  return { code = "resource", args = { resource = name, short_by = short_by } }
end

--- Why a node has no room: every resource that is short.
-- @tparam table free
-- @tparam table request
-- @tparam ?table defaulted
-- @treturn {table,...} reasons in the order of names
function M.all_reasons(free, request, defaulted)
  local list = {}
  for _, name in ipairs(canonical.sorted_keys(request)) do
    local short, short_by, is_absent = M.fits(free, { [name] = request[name] }, defaulted)
    if short then list[#list + 1] = M.reason(short, short_by, is_absent) end
  end
  return list
end

--- Takes a request away from what is free, where that is declared.
-- @tparam table free changed
-- @tparam table request
function M.subtract(free, request)
  for name, amount in pairs(request) do
    local have = free[name]
    if have then free[name] = have - amount end
  end
end

--- Gives back what `subtract` took.
-- @tparam table free changed
-- @tparam table request
function M.add(free, request)
  for name, amount in pairs(request) do
    local have = free[name]
    if have then free[name] = have + amount end
  end
end

--- A text that is equal for equal tables: nodes of one size, tasks of one shape.
-- @tparam table vector name → whole number
-- @treturn string
function M.key(vector)
  local parts = {}
  for _, name in ipairs(canonical.sorted_keys(vector)) do
    parts[#parts + 1] = name
    parts[#parts + 1] = vector[name]
  end
  return canonical.of(parts)
end

return M
