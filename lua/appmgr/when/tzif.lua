--- Time zones as the tz database keeps them: TZif files (RFC 8536), as in /usr/share/zoneinfo.
local posix = require("appmgr.when.posix")

local M = {}

local HEADER <const> = 44

local function header(bytes, at)
  if #bytes < at + HEADER - 1 or bytes:sub(at, at + 3) ~= "TZif" then return nil end
  local isut, isstd, leap, times, types, chars = string.unpack(">I4I4I4I4I4I4", bytes, at + 20)
  return {
    version = bytes:byte(at + 4), isut = isut, isstd = isstd, leap = leap, times = times, types = types, chars = chars,
  }
end

local function body_size(h, time_size)
  return h.times * (time_size + 1) + h.types * 6 + h.chars + h.leap * (time_size + 4) + h.isstd + h.isut
end

--- Reads the transitions of one block.
local function read_block(bytes, at, h, time_size)
  local zone = { times = {}, offsets = {} }
  local format = time_size == 8 and ">i8" or ">i4"
  local types_at = at + h.times * (time_size + 1)
  local function offset_of(index) return (string.unpack(">i4", bytes, types_at + index * 6)) end
  for i = 1, h.times do
    zone.times[i] = string.unpack(format, bytes, at + (i - 1) * time_size)
    zone.offsets[i] = offset_of(bytes:byte(at + h.times * time_size + i - 1))
  end
  zone.first = offset_of(0)
  return zone
end

--- The last transition that is not after a moment; 0 when there is none.
local function position(times, moment)
  local low, high = 0, #times
  while low < high do
    local middle = (low + high + 1) // 2
    if times[middle] <= moment then low = middle else high = middle - 1 end
  end
  return low
end

local function read(bytes)
  local h = header(bytes, 1)
  if not h then return nil end
  local zone, rule
  if h.version >= 0x32 then -- "2": a second block with 64-bit times, and the rule for what comes after it
    local at = 1 + HEADER + body_size(h, 4)
    h = assert(header(bytes, at))
    zone = read_block(bytes, at + HEADER, h, 8)
    local footer = bytes:match("^\n([^\n]*)\n", at + HEADER + body_size(h, 8))
    rule = footer and footer ~= "" and assert(posix.read(footer)) or nil
  else
    zone = read_block(bytes, 1 + HEADER, h, 4)
  end
  return function(moment)
    local index = position(zone.times, moment)
    if index == #zone.times and rule then return rule(moment) end
    return zone.offsets[index] or zone.first
  end
end

--- Reads a zone.
-- @tparam string bytes the whole file
-- @treturn[1] function(moment: unix s) → seconds that its clocks are ahead of UTC
-- @treturn[2] nil when the bytes are no such file
function M.read(bytes)
  local ok, zone = pcall(read, bytes)
  return ok and zone or nil
end

return M
