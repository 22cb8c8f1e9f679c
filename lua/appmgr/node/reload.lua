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

--- Reads the file and the policy that it names.
local function read(agent)
  local file = agent.core.file
  local fresh, err = configuration.read(file, agent.config.path)
  if not fresh then return nil, nil, err end
  local policy
  policy, err = configuration.load_policy(fresh.Policy, file, agent.core.runtime.share_dir)
  return fresh, policy, err
end

--- Reads the configuration of an agent again and brings it into force.
-- @tparam Agent agent `config` and `policy` are changed, the log level follows
-- @treturn boolean|nil, string `nil, err` when nothing was changed; it is told as a problem, too
function M.apply(agent)
  local fresh, policy, err = read(agent)
  if not policy then
    agent.problems:set("config", err .. "\nthe configuration stays as it was; repair the file and send SIGHUP again")
    return nil, err
  end
  local limited
  limited, err = agent:limit_tasks(fresh.Tasks)
  if not limited then
    agent.problems:set("config", err .. "; the configuration stays as it was; send SIGHUP again")
    return nil, err
  end
  agent.problems:clear("config")
  tell_restart(agent, fresh)
  for _, name in ipairs(configuration.RELOADABLE) do agent.config[name] = fresh[name] end
  agent.policy = policy
  agent.core.log.set_level(fresh.LogLevel)
  agent.core.log.info("configuration read again: " .. agent.config.path)
  return true
end

return M
