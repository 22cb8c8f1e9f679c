--- What a node says that it has, read from `live/<host>` with suspicion: it may
-- be of another version, or written by hand.
--
-- A number that cannot be true makes the node one that gets nothing, and says
-- why; the rest of what it says is kept, so that what it runs stays counted.
local resources = require("appmgr.planner.rules.resources")
local ports = require("appmgr.planner.rules.ports")

local M = {}

local MAX_FACTOR <const> = 100
--- One fault says enough; a node that writes nonsense can write a lot of it.
local MAX_FAULTS <const> = 3
local MAX_SHOWN_BYTES <const> = 40

local function shown(value)
  if type(value) ~= "string" then return type(value) == "table" and "a list or an object" or tostring(value) end
  return #value <= MAX_SHOWN_BYTES and utf8.len(value) and ('"%s"'):format(value) or "a text"
end

local function amount_of(value)
  local whole = math.type(value) and math.tointeger(value)
  if whole and whole >= 0 and whole <= resources.MAX then return whole end
  return nil, ("no whole number from 0 to %d"):format(resources.MAX)
end

local function factor_of(value)
  if math.type(value) and value > 0 and value <= MAX_FACTOR then return value end
  return nil, ("no number above 0, up to %d"):format(MAX_FACTOR)
end

local function port_of(value)
  local whole = math.type(value) and math.tointeger(value)
  if whole and whole >= 1 and whole <= ports.MAX then return whole end
  return nil, ("no port from 1 to %d"):format(ports.MAX)
end

--- Reads a map of numbers; what cannot be used is left out and told.
local function read_map(document, field, read, faults)
  local value, result = document[field], {}
  if value == nil then return result end
  if type(value) ~= "table" or #value > 0 then
    faults[#faults + 1] = ("%s is %s, not an object of numbers"):format(field, shown(value))
    return result
  end
  local bad
  for name, each in pairs(value) do
    local number = type(name) == "string" and read(each)
    if number then result[name] = number elseif not bad or tostring(name) < bad then bad = tostring(name) end
  end
  if bad then
    local _, why = read(value[bad])
    faults[#faults + 1] = ("%s.%s is %s, %s"):format(field, bad, shown(value[bad]), why)
  end
  return result
end

local function read_range(document, faults)
  local range = document.ports
  if range == nil then return nil end
  local first, last = port_of(type(range) == "table" and range.first), port_of(type(range) == "table" and range.last)
  if first and last and first <= last then return { first = first, last = last } end
  faults[#faults + 1] = ("ports is no range from 1 to %d"):format(ports.MAX)
  return nil
end

local function read_reserved_ports(document, faults)
  local list, set = document.reserved_ports, {}
  if list ~= nil and type(list) ~= "table" then
    faults[#faults + 1] = ("reserved_ports is %s, not a list of ports"):format(shown(list))
    return set
  end
  for _, value in ipairs(list or {}) do
    local port, why = port_of(value)
    if not port then
      faults[#faults + 1] = ("reserved_ports holds %s, %s"):format(shown(value), why)
      return set
    end
    set[port] = true
  end
  return set
end

--- Reads what placement needs to know of a node's size.
-- @tparam table document of `live/<host>`, decoded
-- @treturn table `capacity` (what was measured and what its configuration declares), `reserved`, `local_used` (name →
--   whole number), `overcommit` (name → factor), `ports` ({first, last}; nil when it gives none away), `reserved_ports`
--   (set of numbers)
-- @treturn ?string what is nonsense in it; nil when nothing is
function M.read(document)
  local faults = {}
  local capacity = read_map(document, "capacity", amount_of, faults)
  for name, amount in pairs(read_map(document, "resources", amount_of, faults)) do capacity[name] = amount end
  local read = {
    capacity = capacity,
    reserved = read_map(document, "reserved", amount_of, faults),
    local_used = read_map(document, "local_used", amount_of, faults),
    overcommit = read_map(document, "overcommit", factor_of, faults),
    ports = read_range(document, faults),
    reserved_ports = read_reserved_ports(document, faults),
  }
  if #faults == 0 then return read, nil end
  local told = table.concat(faults, "; ", 1, math.min(#faults, MAX_FAULTS))
  if #faults > MAX_FAULTS then told = told .. ("; and %d more"):format(#faults - MAX_FAULTS) end
  return read, "holds nonsense: " .. told
end

--- Reads labels; what is no text is left out and told.
-- @param value decoded
-- @treturn table name → text
-- @treturn ?string which ones were left out
function M.read_labels(value)
  local labels, bad = {}, {}
  if value ~= nil and type(value) ~= "table" then return labels, "the labels are no object" end
  for name, text in pairs(value or {}) do
    local is_text = type(text) == "string" or math.type(text) or type(text) == "boolean"
    if type(name) == "string" and is_text then
      labels[name] = tostring(text)
    else
      bad[#bad + 1] = tostring(name)
    end
  end
  if #bad == 0 then return labels, nil end
  table.sort(bad)
  local shown_names = table.concat(bad, ", ", 1, math.min(#bad, MAX_FAULTS))
  return labels, ("labels that are no text are left out: %s%s"):format(shown_names, #bad > MAX_FAULTS and ", …" or "")
end

return M
