--- What the configuration says of a node's size: `Resources`, `Reserve` and
-- `Overcommit`.
local amounts = require("appmgr.amounts")
local fields = require("appmgr.fields")
local names = require("appmgr.names")

local M = {}

--- Where dynamic ports come from when nobody says otherwise: below those that the system gives to outgoing connections.
M.DEFAULT_PORTS = { first = 20000, last = 29999 }

local MAX_PORT <const> = 65535
local MAX_FACTOR <const> = 100

local function read_port(value)
  local whole = math.type(value) and math.tointeger(value)
  return whole and whole >= 1 and whole <= MAX_PORT and whole or nil
end

local function read_range(value)
  local first, last = tostring(value):match("^(%d+)%-(%d+)$")
  first, last = read_port(tonumber(first)), read_port(tonumber(last))
  if not first or not last or first > last then
    return nil, 'ports must be a range of ports from 1 to 65535, such as "20000-29999"'
  end
  return { first = first, last = last }
end

local function read_port_list(value)
  if type(value) ~= "table" or (#value == 0 and next(value)) then return nil, "ports must be an array such as [22, 80]" end
  local list = {}
  for position, item in ipairs(value) do
    list[position] = read_port(item)
    if not list[position] then return nil, ("ports: entry %d must be a number from 1 to 65535"):format(position) end
  end
  table.sort(list)
  return list
end

--- A reader of amounts beside which `ports` stand.
local function with_ports(read_ports)
  return function(value)
    if not fields.is_object(value) then return nil, "must be an object of names and whole numbers" end
    local result = { amounts = {} }
    for name, each in pairs(value) do
      local read, reason
      if name == "ports" then
        read, reason = read_ports(each)
        result.ports = read
      else
        read, reason = amounts.read_one(name, each)
        result.amounts[name] = read
      end
      if not read then return nil, reason end
    end
    return result
  end
end

local function read_overcommit(value)
  if not fields.is_object(value) then return nil, "must be an object of names and factors" end
  local factors = {}
  for name, factor in pairs(value) do
    local ok, reason = names.check(name, "resource")
    if not ok then return nil, reason end
    if not math.type(factor) or not (factor > 0 and factor <= MAX_FACTOR) then
      return nil, ("%s must be a number above 0, up to %d: 1.5 promises half as much again as there is"):format(name, MAX_FACTOR)
    end
    factors[name] = factor
  end
  return factors
end

--- Readers of the keys, for a schema.
M.READERS = { Resources = with_ports(read_range), Reserve = with_ports(read_port_list), Overcommit = read_overcommit }

--- What the local applications that may run ask for.
local function used_by(applications)
  local used = {}
  for _, app in ipairs(applications) do
    for name, amount in pairs(app.status ~= 0 and app.resources or {}) do
      used[name] = math.min(amounts.MAX, (used[name] or 0) + amount)
    end
  end
  return used
end

--- What `live/<host>` says of the size beside what is measured.
-- @tparam table config with the keys read, each nil where it is not said
-- @tparam {table,...} applications the local ones
-- @treturn table `resources`, `reserved`, `overcommit`, `local_used` (by name), `ports` ({first, last}), `reserved_ports`
--   (array; maybe empty)
function M.live_fields(config, applications)
  local declared, reserve = config.Resources or {}, config.Reserve or {}
  return {
    resources = declared.amounts or {}, reserved = reserve.amounts or {}, overcommit = config.Overcommit or {},
    local_used = used_by(applications), ports = declared.ports or M.DEFAULT_PORTS, reserved_ports = reserve.ports or {},
  }
end

return M
