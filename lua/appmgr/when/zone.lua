--- What the clock on the wall shows at a moment, and at which moment it shows a time.
--
-- The two questions that summer time raises are answered here, once for all:
-- a time that the clock shows twice means the first of the two moments; a time
-- that it skips means the moment at which it skips.
local posix = require("appmgr.when.posix")
local tzif = require("appmgr.when.tzif")

local M = {}

local Zone = {}
Zone.__index = Zone

--- No clock is further than this from another one.
local REACH <const> = 26 * 3600

--- @tparam function offset_at moment (unix s) → seconds ahead of UTC
-- @treturn Zone
function M.new(offset_at)
  return setmetatable({ offset_at = offset_at }, Zone)
end

--- @tparam number moment unix s
-- @treturn integer local time, see when/calendar.lua
function Zone:wall(moment)
  moment = math.floor(moment)
  return moment + self.offset_at(moment)
end

--- The first moment in (low, high] with the offset that `high` has.
local function change(self, low, high)
  local after = self.offset_at(high)
  while high - low > 1 do
    local middle = (low + high) // 2
    if self.offset_at(middle) == after then high = middle else low = middle end
  end
  return high
end

--- The moments at which the clock shows a time.
-- @tparam integer wall local time
-- @treturn integer unix s: the first one, or the moment at which the clock skips this time
-- @treturn ?integer the second one, when it shows this time twice
function Zone:moment(wall)
  local before, after = self.offset_at(wall - REACH), self.offset_at(wall + REACH)
  local first, second = wall - before, wall - after
  local is_first, is_second = self.offset_at(first) == before, self.offset_at(second) == after
  if is_first and is_second and first ~= second then return math.min(first, second), math.max(first, second) end
  if is_first then return first end
  if is_second then return second end
  return change(self, wall - REACH, wall + REACH)
end

--- The next moment at which the clock is moved.
-- @tparam integer from unix s
-- @tparam integer to unix s
-- @treturn ?integer the first moment of the new offset in (from, to]; nil when both have the same one
function Zone:change(from, to)
  if self.offset_at(from) == self.offset_at(to) then return nil end
  return change(self, from, to)
end

local NAME <const> = "^[A-Za-z0-9][A-Za-z0-9_+/-]*$"
local FOLDER <const> = "/usr/share/zoneinfo/"

--- Whether a text can name a zone at all, whatever zones a node has.
-- @param text any value
-- @treturn boolean
function M.is_name(text)
  if type(text) ~= "string" or #text > 255 then return false end
  text = text:gsub("^:", "")
  return posix.read(text) ~= nil or (text:find(NAME) ~= nil and not text:find("^[A-Z]+[+-]?%d"))
end

local function read_file(read, path)
  local bytes, err = read(path)
  local offset_at = bytes and tzif.read(bytes)
  if offset_at then return M.new(offset_at) end
  return nil, bytes and path .. ": it is no time zone file" or err
end

--- Opens a zone by its name or its rules.
-- @tparam string text a POSIX time zone, or a name of the tz database
-- @tparam function read path → bytes | nil, err
-- @treturn[1] Zone
-- @treturn[2] nil
-- @treturn[2] string why not
function M.open(text, read)
  text = text:gsub("^:", "")
  local rules = posix.read(text)
  if rules then return M.new(rules) end
  if not M.is_name(text) then return nil, ('"%s" is neither a POSIX time zone nor the name of one'):format(text) end
  local zone, err = read_file(read, FOLDER .. text)
  if zone then return zone end
  return nil, ('this node knows no time zone "%s" (%s); install tzdata or write it as a POSIX time zone'):format(text,
    err)
end

--- Opens the zone that the process itself lives in: that of `TZ`, else of the machine, else UTC.
-- @tparam ?string tz the variable's value
-- @tparam function read path → bytes | nil, err
-- @treturn Zone
function M.own(tz, read)
  local zone
  if tz and tz:find("^:?/") then zone = read_file(read, (tz:gsub("^:", "")))
  elseif tz and tz ~= "" then zone = M.open(tz, read)
  elseif not tz then zone = read_file(read, "/etc/localtime") end
  return zone or M.new(function() return 0 end)
end

return M
