--- `appmgr agent`: the daemon.

local names = require("appmgr.names")

local TEXT = [[
appmgr agent
Run the agent of this node, in the foreground.

SIGTERM ends it and leaves its applications to the next one; SIGINT (Ctrl-C) and "appmgr leave" take
the node out of the cluster; SIGHUP reads the configuration again, all but Consul. Logs go to
stderr.

  --config F       the configuration (default: /etc/appmgr/appmgr.json)
  --node NAME      this node's name in the cluster (default: the host's name)
  --state-dir D    what this node remembers (default: /var/lib/appmgr)
  --await-keeper   where no keeper runs wait for one, start none]]

local DEFAULT_STATE_DIR <const> = "/var/lib/appmgr"

--- The keeper works in the root folder: a path that it is told must mean the same there.
local function absolute(path, working_dir)
  return path:sub(1, 1) == "/" and path or working_dir .. "/" .. path
end

local function run(context, arguments)
  local core = context.core
  local config = require("appmgr.config")
  local node = arguments.node or core.host.hostname()
  local named, name_error = names.check(node, "node name")
  if not named then return context:fail(name_error .. "; choose one with --node") end
  local settings, err = config.read(core.file, arguments.config or config.DEFAULT_PATH)
  if not settings then return context:fail(err) end
  local agent, start_error = require("appmgr.node.agent").start({
    config = settings,
    node = node,
    state_dir = absolute(arguments.state_dir or DEFAULT_STATE_DIR, core.runtime.working_dir),
    socket = context.socket,
    awaits_keeper = arguments.await_keeper,
    core = core,
  })
  if not agent then return context:fail(start_error) end
  core.loop.run()
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
