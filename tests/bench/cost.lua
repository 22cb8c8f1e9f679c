--- What processes cost: memory and time on a processor.
local process = require("tests.lib.process")

local M = {}

local KB = 1024

--- Memory of one process, in bytes: `private` (`dirty`: of that, written) and `pss` (what is shared, divided).
function M.memory(pid)
  local text = process.slurp(("/proc/%d/smaps_rollup"):format(pid))
  local function kb(name)
    return tonumber(text:match("\n" .. name .. ":%s*(%d+)") or 0)
  end
  return {
    private = (kb("Private_Clean") + kb("Private_Dirty")) * KB, dirty = kb("Private_Dirty") * KB,
    pss = kb("Pss") * KB,
  }
end

--- Time on a processor so far, in seconds.
function M.cpu(pid)
  return tonumber(process.slurp(("/proc/%d/schedstat"):format(pid)):match("^%d+") or 0) / 1e9
end

--- The sum of a measure over processes.
function M.sum(pids, measure, field)
  local total = 0
  for _, pid in ipairs(pids) do
    local value = measure(pid)
    total = total + (field and value[field] or value)
  end
  return total
end

--- Bytes as megabytes.
function M.mb(bytes)
  return ("%.2f"):format(bytes / KB / KB)
end

return M
