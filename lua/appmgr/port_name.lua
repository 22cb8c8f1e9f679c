--- Names of ports: what a task calls them, and what its process finds them under.
local M = {}

local MAX_BYTES <const> = 64

--- Whether a port may be called so.
-- @param name any value
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why not
function M.check(name)
  if type(name) == "string" and #name <= MAX_BYTES and name:find("^%a[%w_-]*$") then return true end
  return nil, ('a port\'s name is a letter, then letters, digits, "_" and "-", at most %d bytes'):format(MAX_BYTES)
end

--- The environment variable that holds the number.
-- @tparam string name
-- @treturn string `APPMGR_PORT_HTTP_ADMIN` for `http-admin`
function M.variable(name)
  return "APPMGR_PORT_" .. name:upper():gsub("-", "_")
end

return M
