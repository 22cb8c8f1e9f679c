--- The environment that a service manager gives to a daemon: the same few variables for all of them.
local uv = require("luv")

local KEPT = {PATH = true, LANG = true}

--- Changes to this process's environment, for tests.lib.process.
-- @tparam[opt] table more variables to set
return function(more)
  local changes = {}
  for name in pairs(uv.os_environ()) do
    if not KEPT[name] then
      changes[name] = false
    end
  end
  for name, value in pairs(more or {}) do
    changes[name] = value
  end
  return changes
end
