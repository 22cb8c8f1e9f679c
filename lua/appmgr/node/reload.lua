--- SIGHUP: the configuration is read again.
--
-- All but `Consul` comes into force; a change of that is told as needing a
-- restart. The new one is read and checked whole before any of
-- it is used: a file that is broken changes nothing.
local configuration = require("appmgr.config")
local json = require("appmgr.json")

local M = {}

local function same(a, b)
  return a == b or (a ~= nil and b ~= nil and json.encode({ a }) == json.encode({ b }))
end

local function tell_restart(agent, fresh)
  if same(fresh.Consul, agent.config.Consul) then return agent.problems:clear("config/restart") end
  agent.problems:set("config/restart", ("%s: Consul changed; restart the agent for it"):format(agent.config.path))
end

--- Reads the file and the policies that it names, and sees to it that what may fail has not.
-- @treturn[1] table the configuration
-- @treturn[1] function() brings its policies into force
-- @treturn[2] nil
-- @treturn[2] string why everything stays
local function read(agent)
  local fresh, err = configuration.read(agent.core.file, agent.config.path)
  if not fresh then return nil, err .. "\nthe configuration stays as it was; repair the file and send SIGHUP again" end
  local use_policies
  use_policies, err = agent.policy_source:prepare(fresh.Policy)
  if not use_policies then return nil, err .. "\nthe configuration stays as it was; repair the file and send SIGHUP again" end
  local limited
  limited, err = agent:limit_tasks(fresh.Tasks)
  if not limited then return nil, err .. "; the configuration stays as it was; send SIGHUP again" end
  return fresh, use_policies
end

--- Reads the configuration of an agent again and brings it into force.
-- @tparam Agent agent `config` and `policy_source` are changed, the log level follows
-- @treturn boolean|nil, string `nil, err` when nothing was changed; it is told as a problem, too
function M.apply(agent)
  local fresh, use_policies = read(agent)
  if not fresh then
    agent.problems:set("config", use_policies)
    return nil, use_policies
  end
  use_policies()
  agent.problems:clear("config")
  tell_restart(agent, fresh)
  for _, name in ipairs(configuration.RELOADABLE) do agent.config[name] = fresh[name] end
  agent.core.log.set_level(fresh.LogLevel)
  agent.core.log.info("configuration read again: " .. agent.config.path)
  return true
end

return M
