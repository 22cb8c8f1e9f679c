--- Ports of tasks: fixed ones, of which a node has each once, and dynamic ones,
-- which are taken from the node's range.
local canonical = require("appmgr.planner.rules.canonical")

local M = {}

--- Highest port there is.
M.MAX = 65535

--- Where the search for a dynamic port begins: the same for the same replica, and seldom the same for two, so that a port
-- that became free is not the first to be given to somebody else.
local function start_of(salt, size)
  local hash = 5381
  for position = 1, #salt do hash = (hash * 33 + salt:byte(position)) & 0xffffffff end
  return hash % size
end

local function free_port(in_use, range, salt)
  local size = range.last - range.first + 1
  local start = start_of(salt, size)
  for step = 0, size - 1 do
    local number = range.first + (start + step) % size
    if not in_use[number] then return number end
  end
  return nil
end

--- The first fixed port (in order of names) that somebody has.
-- @tparam {table,...} wanted `name`, `number` (nil: dynamic)
-- @tparam table in_use set of numbers
-- @treturn ?table the reason; nil when all are free
function M.conflict(wanted, in_use)
  for _, port in ipairs(wanted) do
    if port.number and in_use[port.number] then
      return { code = "port", args = { port = port.number, name = port.name } }
    end
  end
  return nil
end

--- Works out the ports of a replica. What it has and may keep, it keeps.
-- @tparam {table,...} wanted `name`, `number` (nil: dynamic), in the order of names
-- @tparam table in_use set of numbers that others on the node have, or the node keeps for itself
-- @tparam ?table range `first`, `last`; nil when the node gives none away
-- @tparam string salt names the replica
-- @tparam[opt] table have name → number, as it is now
-- @treturn[1] table name → number, nothing else; `in_use` is not changed
-- @treturn[2] nil
-- @treturn[2] table the reason
function M.assign(wanted, in_use, range, salt, have)
  local reason = M.conflict(wanted, in_use)
  if reason then return nil, reason end
  local result = {}
  local taken = setmetatable({}, { __index = in_use })
  for _, port in ipairs(wanted) do
    if port.number then taken[port.number] = true end
    result[port.name] = port.number
  end
  for _, port in ipairs(wanted) do
    if not port.number then
      if not range then return nil, { code = "ports_missing" } end
      local before = have and have[port.name]
      local may_keep = before and before >= range.first and before <= range.last and not taken[before]
      local number = may_keep and before or free_port(taken, range, salt .. "/" .. port.name)
      if not number then
        return nil, { code = "ports_used_up", args = { first = range.first, last = range.last } }
      end
      taken[number], result[port.name] = true, number
    end
  end
  return result
end

--- Whether a replica has the ports that its task wants, as far as numbers were asked for.
-- @tparam {table,...} wanted
-- @tparam ?table have name → number
-- @treturn boolean
function M.suits(wanted, have)
  local names = {}
  for _, port in ipairs(wanted) do
    local number = have and have[port.name]
    if not number or port.number and port.number ~= number then return false end
    names[port.name] = true
  end
  for name in pairs(have or {}) do
    if not names[name] then return false end
  end
  return true
end

--- A text that is equal where the same ports are wanted.
-- @tparam {table,...} wanted
-- @treturn string
function M.key(wanted)
  local parts = {}
  for _, port in ipairs(wanted) do
    parts[#parts + 1] = port.name
    parts[#parts + 1] = port.number or "dynamic"
  end
  return canonical.of(parts)
end

return M
