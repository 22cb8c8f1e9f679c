--- Copies configuration for eyes that may not see secrets: tokens, environment values, passwords in URLs.

local M = {}

local HIDDEN <const> = "(hidden)"

local function is_secret(key)
  local name = type(key) == "string" and key:lower() or ""
  return name ~= "token_file" and (name:find("token", 1, true) or name:find("password", 1, true)
    or name:find("secret", 1, true)) ~= nil
end

--- {"K=V"} and {K="V"} both keep their names only.
local function hide_environment(env)
  if type(env) ~= "table" then return HIDDEN end
  local copy = {}
  for key, value in next, env do
    if math.type(key) == "integer" and type(value) == "string" then
      copy[key] = (value:match("^[^=]*") or "") .. "=" .. HIDDEN
    else
      copy[key] = HIDDEN
    end
  end
  return copy
end

local function hide_password(text)
  return (text:gsub("://[^/@%s]*@", "://" .. HIDDEN .. "@"))
end

--- @tparam any value plain data; functions and userdata are left out
-- @treturn any a deep copy without secrets; a table that holds itself ends there
function M.copy(value, above)
  if type(value) == "string" then return hide_password(value) end
  if type(value) ~= "table" then
    return (type(value) == "number" or type(value) == "boolean") and value or nil
  end
  above = above or {}
  if above[value] then return nil end
  above[value] = true
  local copy = {}
  for key, member in next, value do
    if key == "env" then
      copy[key] = hide_environment(member)
    elseif is_secret(key) and type(member) ~= "table" then
      copy[key] = HIDDEN
    else
      copy[key] = M.copy(member, above)
    end
  end
  above[value] = nil
  return copy
end

return M
