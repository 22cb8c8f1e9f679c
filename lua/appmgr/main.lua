--- The command line: `require("appmgr.main")(words)` runs it and returns the exit code.

--- The core modules by name, each loaded when it is first used.
local core = setmetatable({}, {
  __index = function(self, name)
    local module = require("core." .. name)
    self[name] = module
    return module
  end,
})

--- Runs a script as the Lua interpreter would: `arg` holds its path and its words.
-- @tparam string path
-- @tparam {string,...} words
-- @treturn integer exit code: what the script returned if that is an integer, else 0; 1 when it cannot be loaded
local function run_script(path, words)
  local chunk, err = loadfile(path)
  if not chunk then
    io.stderr:write("appmgr: ", err, "\n")
    return 1
  end
  rawset(_G, "arg", table.move(words, 1, #words, 1, { [0] = path }))
  local result = chunk(table.unpack(words))
  return math.type(result) == "integer" and result or 0
end

return function(words)
  local context = require("appmgr.cli.context").new({
    core = core,
    stdin = io.stdin,
    stdout = io.stdout,
    stderr = io.stderr,
    getenv = os.getenv,
    exit = os.exit,
    run_script = run_script,
  })
  local code = require("appmgr.cli.dispatch").run(context, words)
  context:flush()
  return code
end
