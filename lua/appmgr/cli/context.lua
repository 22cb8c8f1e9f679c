--- What a command is given: where to write, how to fail, and the way to the agent.
--
-- All effects of a command go through this object, so that its spec can replace them. The way to
-- the agent is loaded when it is first needed: `appmgr lua` and --help start without it.

local M = {}

local Context = {}
Context.__index = Context

local DEFAULT_SOCKET = "/run/appmgr/appmgr.sock"
--- The number of the error that a pipe without a reader gives, on all Linux.
local EPIPE <const> = 32

--- @tparam table deps {core=, stdin=, stdout=, stderr=, getenv=, exit=, run_script=}: the core modules by name,
-- three file handles, functions like os.getenv and os.exit, and function(path, words) → exit code
-- @treturn table context with `core`, `socket`, `version`, `getenv`, `run_script`
function M.new(deps)
  local from_environment = deps.getenv("APPMGR_SOCKET")
  if from_environment == "" then from_environment = nil end
  return setmetatable({
    core = deps.core,
    stdin = deps.stdin,
    stdout = deps.stdout,
    stderr = deps.stderr,
    getenv = deps.getenv,
    exit = deps.exit,
    run_script = deps.run_script,
    version = deps.core.runtime.version,
    socket = from_environment or DEFAULT_SOCKET,
  }, Context)
end

--- Ends the command when the standard output takes no more: the answer would be cut, and whoever reads it think it whole.
-- A reader that has gone (`… | head`) has seen what it wanted, and is told nothing.
local function must(self, done, err, number)
  if done then return end
  if number ~= EPIPE then self.stderr:write("appmgr: standard output: ", err, "\n") end
  self.exit(1)
end

--- Prints a line (or a text of many lines) that was asked for.
function Context:print(text)
  must(self, self.stdout:write(text, "\n"))
end

--- Sees to it that what was printed so far is out.
function Context:flush()
  must(self, self.stdout:flush())
end

--- Writes bytes as they are, at once.
function Context:write(bytes)
  must(self, self.stdout:write(bytes))
  self:flush()
end

--- What stands on the standard input, up to a number of bytes.
function Context:read_input(max_bytes)
  return self.stdin:read(max_bytes) or ""
end

--- One line from the standard input, without its newline; nil at its end.
function Context:read_line()
  return self.stdin:read("l")
end

--- Asks without a newline; on stderr, so that answers stay clean, and after what was answered so far: it is about that.
function Context:ask(question)
  self:flush()
  self.stderr:write(question)
  self.stderr:flush()
end

--- Prints a value as JSON, for programs.
function Context:print_json(value)
  self:print(require("appmgr.json").encode(value, { pretty = true }))
end

--- Prints what is not an answer: hints, warnings, progress; after what was answered so far.
function Context:warn(text)
  self:flush()
  self.stderr:write(text, "\n")
end

--- Says why a command failed.
-- @treturn integer the exit code 1
function Context:fail(message)
  self:flush()
  self.stderr:write("appmgr: ", message, "\n")
  return 1
end

--- Says what is wrong with a command line.
-- @tparam string message
-- @tparam string help the command that explains it
-- @treturn integer the exit code 2
function Context:misuse(message, help)
  self.stderr:write("appmgr: ", message, "\n", 'try "', help, '"\n')
  return 2
end

--- Asks the agent.
-- @tparam string method
-- @tparam[opt] table params
-- @tparam[opt] function on_event function(event), for methods that stream
-- @treturn[1] any the result
-- @treturn[2] nil
-- @treturn[2] string what went wrong, complete
-- @treturn[2] string its code
function Context:call(method, params, on_event)
  if not self.connection then
    local opened, err = require("appmgr.cli.connection").open(self.core.control, self.socket)
    if not opened then return nil, err, "no_agent" end
    self.connection = opened
  end
  return self.connection:call(method, params, on_event)
end

--- Waits; nothing else happens meanwhile.
-- @tparam integer ms
function Context:sleep(ms)
  local over = false
  self.core.timer.after(ms, function() over = true end)
  while not over do self.core.loop.step(ms) end
end

--- Ends the connection; the next call makes a new one.
function Context:disconnect()
  if self.connection then self.connection:close() end
  self.connection = nil
end

return M
