--- What is told of output that cannot be written.
local M = {}

local UNITS = { "bytes", "KiB", "MiB", "GiB", "TiB" }

--- A count in steps of two, so that a text changes seldom while it grows: "more than 64 KiB".
local function coarse(bytes)
  local step, unit = 1, 1
  while step * 2 <= bytes do step = step * 2 end
  while step >= 1024 and unit < #UNITS do step, unit = step // 1024, unit + 1 end
  return ("%d %s"):format(step, UNITS[unit])
end

--- What the keeper says of an application's output, as it is kept.
-- @tparam table item an event or a record with `output_state`, `output_error`, `output_dropped`
-- @treturn ?table {state="dropping"|"waiting", error, dropped}; nil when all is well
function M.of(item)
  if not item.output_state or item.output_state == "well" then return nil end
  return { state = item.output_state, error = item.output_error, dropped = item.output_dropped or 0 }
end

--- For people.
-- @tparam table trouble from `of`
-- @tparam string path of the file
-- @treturn string
function M.text(trouble, path)
  if trouble.state == "waiting" then
    return ("its output waits: %s: %s"):format(path, trouble.error)
  end
  local lost = trouble.dropped > 0 and ("at least %s so far"):format(coarse(trouble.dropped)) or "nothing so far"
  return ("its output is dropped: %s: %s; %s"):format(path, trouble.error, lost)
end

return M
