--- When what was written to a file of output: reads the index that the logger keeps beside it.
--
-- An entry is 16 bytes, little endian: milliseconds of unix time, and the offset at which something was written then. What
-- stands between two entries was written within a second of the first one, or within the longer pause that an index of
-- many entries has (src/keeper/log_index.h).
local M = {}

local ENTRY <const> = 16
local ENTRIES_A_PACE <const> = 4096
local MAX_INDEX_BYTES <const> = 16 * 1024 * 1024

--- The longest that what follows the entry of a number (from 0) may lie behind it.
local function pause_s(number)
  return 1 << math.min(12, number // ENTRIES_A_PACE)
end

--- Where in a file to begin for what was written since a moment.
-- @tparam table file core.file
-- @tparam string path of the file of output
-- @tparam table stat what is known of it: size and mtime_s
-- @tparam integer since unix seconds
-- @treturn ?integer offset; the size when nothing of it is as young; nil when all of it is, and an older file may have more
function M.find(file, path, stat, since)
  if stat.mtime_s < since then return stat.size end
  local index = file.read_range(path .. ".index", 0, MAX_INDEX_BYTES) or ""
  for number = 0, #index // ENTRY - 1 do
    local unix_ms, offset = ("<i8i8"):unpack(index, number * ENTRY + 1)
    if unix_ms / 1000 + pause_s(number) >= since then
      if offset <= 0 or offset > stat.size then break end
      return offset
    end
  end
  return nil
end

return M
