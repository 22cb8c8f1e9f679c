--- What an application and all it starts may use together: `resource_limit` of its document.
--
-- The keeper has each limit kept by the application's cgroup, or by an rlimit, as far as the machine can, and says how.
local fields = require("appmgr.fields")

local M = {}

local MB <const> = 1 << 20

--- The limits in the order in which they are shown: name, unit behind the value, and what the keeper calls it and is told.
local LIMITS <const> = {
  { name = "memory_mb", unit = " MB", keeper = "memory_bytes", convert = function(value) return value * MB end },
  { name = "swap_mb", unit = " MB", keeper = "swap_bytes", convert = function(value) return value * MB end },
  { name = "memory_virt_mb", unit = " MB", keeper = "virtual_bytes", convert = function(value) return value * MB end },
  -- 1024 shares are what an application has that asks for none, as in cgroups of the first version: a weight of 100.
  { name = "cpu_shares", unit = "", keeper = "cpu_weight",
    convert = function(value) return math.max(1, math.min(10000, value * 100 // 1024)) end },
  { name = "cpu_max_percent", unit = " %", keeper = "cpu_percent", convert = function(value) return value end },
  { name = "pids", unit = "", keeper = "pids", convert = function(value) return value end },
}

local SCHEMA = {
  fields = {
    memory_mb = fields.integer(1, 1 << 30),
    swap_mb = fields.integer(0, 1 << 30),
    memory_virt_mb = fields.integer(1, 1 << 30),
    cpu_shares = fields.integer(2, 262144),
    cpu_max_percent = fields.integer(1, 1000000),
    pids = fields.integer(1, 4194304),
  },
}

--- Reads `resource_limit`; for a schema of `appmgr.fields`.
-- @param value decoded JSON
-- @tparam fields.Findings findings
-- @treturn ?table the limits by name
-- @treturn ?string why they cannot be used
function M.read(value, findings)
  if not fields.is_object(value) then return nil, "must be an object" end
  local limits, found = fields.read(value, SCHEMA)
  fields.merge(findings, found, "resource_limit.")
  if limits.swap_mb and not limits.memory_mb then
    return nil, "swap_mb limits what memory_mb does not hold: give both"
  end
  return limits
end

--- The limits as core.process takes them. What does not fit in memory is not pushed into swap unless the document says so.
-- @tparam ?table limits from `read`
-- @treturn table empty when there are none
function M.for_keeper(limits)
  local given = {}
  if not limits then return given end
  for _, limit in ipairs(LIMITS) do
    local value = limits[limit.name]
    given[limit.keeper] = value and limit.convert(value) or nil
  end
  if limits.memory_mb then given.swap_bytes = given.swap_bytes or 0 end
  return given
end

--- A short text that differs when the limits do.
-- @tparam table given from `for_keeper`
-- @treturn string "" when there are none
function M.fingerprint(given)
  if not next(given) then return "" end
  local parts = {}
  for index, limit in ipairs(LIMITS) do parts[index] = given[limit.keeper] or "-" end
  return table.concat(parts, ",")
end

--- How the keeper keeps them.
-- @tparam ?table limits from `read`
-- @tparam ?string text what the keeper says: a line `name how` for each
-- @treturn ?table by name "cgroup", "rlimit…" or "not enforced: …"; nil when there is nothing to say
function M.enforced(limits, text)
  if not limits or not text then return nil end
  local by_name = {}
  for name, how in text:gmatch("(%S+) ([^\n]+)") do
    -- swap_mb is set with memory_mb: it is shown where the document names it.
    if limits[name] then by_name[name] = how end
  end
  return next(by_name) and by_name or nil
end

--- The limits for people, one a line: "memory_mb 100 MB (cgroup)".
-- @tparam table limits by name
-- @tparam ?table enforced from `enforced`
-- @treturn string
function M.describe(limits, enforced)
  local lines = {}
  for _, limit in ipairs(LIMITS) do
    local value, how = limits[limit.name], enforced and enforced[limit.name]
    if value then lines[#lines + 1] = ("%s %d%s%s"):format(limit.name, value, limit.unit, how and (" (%s)"):format(how) or "") end
  end
  return table.concat(lines, ", ")
end

return M
