--- Amounts of resources as documents hold them: name → whole number.
local fields = require("appmgr.fields")
local names = require("appmgr.names")

local M = {}

--- Largest amount of anything; sums and products of it stay whole.
M.MAX = 1 << 40

--- Reads one amount.
-- @tparam string name of the resource
-- @param value decoded
-- @treturn[1] integer
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function M.read_one(name, value)
  local ok, reason = names.check(name, "resource")
  if not ok then return nil, reason end
  local whole = math.type(value) and math.tointeger(value)
  if whole and whole >= 0 and whole <= M.MAX then return whole end
  local hint = name == "cpu" and "; it is in millicores, 500 is half a core" or ""
  return nil, ("%s must be a whole number from 0 to %d%s"):format(name, M.MAX, hint)
end

--- Reads an object of amounts.
-- @param value decoded
-- @treturn[1] table name → whole number
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function M.read(value)
  if not fields.is_object(value) then return nil, "must be an object of names and whole numbers" end
  local amounts = {}
  for name, each in pairs(value) do
    local amount, reason = M.read_one(name, each)
    if not amount then return nil, reason end
    amounts[name] = amount
  end
  return amounts
end

return M
