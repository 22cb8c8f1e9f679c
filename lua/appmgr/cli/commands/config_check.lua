--- `appmgr config check`: would the agent start with this?

local config = require("appmgr.config")
local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr config check [FILE]
Check a configuration (default: /etc/appmgr/appmgr.json) without an agent.

All that is wrong is told at once, with its place in the file.
]]

local function summary(settings, path)
  local consul = settings.Consul
  local address = consul and (consul.urls and table.concat(consul.urls, ", ") or consul.url)
  local where = not consul and "no Consul, this node works alone"
    or "Consul at " .. (address or "the address in CONSUL_HTTP_ADDR, or localhost")
  return ('%s is in order: %s; %s; policy "%s"'):format(path, grid.count(#settings.Applications, "application"),
    where, settings.Policy.name)
end

local function run(context, arguments)
  local core, path = context.core, arguments.file or config.DEFAULT_PATH
  local settings, err = config.read(core.file, path)
  if not settings then return context:fail(err) end
  local policies, policy_error = config.load_policies(settings.Policy, core.file, core.runtime.share_dir)
  if not policies then return context:fail(("%s: %s"):format(path, policy_error)) end
  context:print(summary(settings, path))
  return 0
end

return { text = TEXT, run = run }
