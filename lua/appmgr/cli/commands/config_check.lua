--- `appmgr config check`: would the agent start with this?

local config = require("appmgr.config")
local grid = require("appmgr.cli.grid")
local workbench = require("appmgr.cli.workbench")

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

--- What is wrong with the policies, as "policy check" would say it.
local function policy_findings(context, policies)
  local list = {}
  for _, key in ipairs({ "policy", "shadow" }) do
    local policy = policies[key]
    local findings = policy and workbench.check(context.core, policy, ('%s "%s"'):format(key, policy.name)) or {}
    table.move(findings, 1, #findings, #list + 1, list)
  end
  return list
end

local function run(context, arguments)
  local core, path = context.core, arguments.file or config.DEFAULT_PATH
  local settings, err = config.read(core.file, path)
  if not settings then return context:fail(err) end
  local policies, policy_error = config.load_policies(settings.Policy, core.file, core.runtime.share_dir)
  if not policies then return context:fail(("%s: %s"):format(path, policy_error)) end
  local findings = policy_findings(context, policies)
  for _, finding in ipairs(findings) do context:fail(("%s: %s"):format(path, finding)) end
  if #findings > 0 then return 1 end
  context:print(summary(settings, path))
  return 0
end

return { text = TEXT, run = run }
