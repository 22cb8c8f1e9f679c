--- `appmgr lua`: run a Lua script inside the runtime.

local TEXT = [[
appmgr lua FILE [ARG...]
Run a Lua script with appmgr's modules (core.*, appmgr.*) at hand; needs no agent.

The script finds its arguments in `arg` and `...`; an integer that it returns is the exit code.
]]

local function run(context, arguments)
  return context.run_script(arguments.file, arguments.arg)
end

return { text = TEXT, run = run }
