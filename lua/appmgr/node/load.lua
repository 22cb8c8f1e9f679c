--- How loaded this node is, in steps so coarse that nobody decides anew because
-- of a tremor: a step is left only for a value that is a whole step away.
local M = {}

local Load = {}
Load.__index = Load

--- Percent of one step.
local STEP <const> = 10

--- @treturn Load that has measured nothing
function M.new()
  return setmetatable({ steps = {} }, Load)
end

local function settle(before, value)
  if not value or value ~= value then return before end
  value = math.max(0, math.min(100, value))
  if before and math.abs(value - before) < STEP then return before end
  return math.tointeger(((value + STEP / 2) // STEP) * STEP)
end

--- Takes one measurement.
-- @tparam table resource see core.host.resource
-- @treturn table `cpu` (processes that want to run in the last minute, of the processors) and `memory` (what is not
--   available), percent from 0 to 100 in steps of 10; a field that cannot be measured is absent
function Load:measure(resource)
  local one_minute, processors = resource.load and resource.load["1min"], resource.cpu_processors
  local total, available = resource.mem_total_bytes, resource.mem_available_bytes
  local steps = self.steps
  steps.cpu = settle(steps.cpu, one_minute and (processors or 0) > 0 and one_minute / processors * 100 or nil)
  steps.memory = settle(steps.memory, available and (total or 0) > 0 and (total - available) / total * 100 or nil)
  return { cpu = steps.cpu, memory = steps.memory }
end

return M
