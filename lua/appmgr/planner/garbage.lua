--- How often a process in which policies run looks for garbage.
--
-- A large cluster's model is large and stays: to look through all of it whenever half as much was made again would be half
-- of the work. A small one's is looked through in no time, and its planner is to stay small.
local M = {}

local SMALL_KB <const> = 8 * 1024
--- What may lie around before the next look.
local SPARE_KB <const> = 256 * 1024
--- The next look begins at so many percent of what was in use after the last one. Lua takes no more than the largest.
local PAUSE_OF_SMALL <const>, PAUSE <const>, LONGEST_PAUSE <const> = 130, 400, 1000
local STEP <const> = 400

--- Sets the pace by what is in use now. To be called before each larger piece of work.
function M.pace()
  local used_kb = math.ceil(collectgarbage("count"))
  local pause = math.max(PAUSE, math.min(LONGEST_PAUSE, 100 + 100 * SPARE_KB // used_kb))
  collectgarbage("incremental", used_kb < SMALL_KB and PAUSE_OF_SMALL or pause, STEP)
end

return M
