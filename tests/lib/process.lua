--- Processes of a test. Only what was started here is ever ended, by its id.
local uv = require("luv")
local loop = require("tests.lib.loop")

local M = {}

local Process = {}
Process.__index = Process

local running = {}

--- Reads a whole file; "" when it is not there.
function M.slurp(path)
  local file = io.open(path, "rb")
  if not file then
    return ""
  end
  local text = file:read("a") or ""
  file:close()
  return text
end

--- Writes a file whole.
function M.spit(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function environment_list(changes)
  local environment = uv.os_environ()
  for name, value in pairs(changes or {}) do
    environment[name] = value or nil
  end
  local list = {}
  for name, value in pairs(environment) do
    list[#list + 1] = name .. "=" .. value
  end
  table.sort(list)
  return list
end

--- Starts a program. It is killed when the test process dies, whatever the reason.
-- @tparam table argv program and arguments
-- @tparam table options stdout, stderr (paths), env (changes; false removes), cwd, stdin (text), death_signal (with which it
--   is told that the test process died; KILL)
function M.start(argv, options)
  options = options or {}
  local out = assert(uv.fs_open(options.stdout or "/dev/null", "a", 384))
  local err = options.stderr == options.stdout and out or assert(uv.fs_open(options.stderr or "/dev/null", "a", 384))
  local stdin = options.stdin and uv.new_pipe() or nil
  local self = setmetatable({argv = argv, stderr_path = options.stderr}, Process)
  local args = {"--pdeathsig", options.death_signal or "KILL"}
  table.move(argv, 1, #argv, #args + 1, args)
  self.handle, self.pid = uv.spawn("setpriv", {
    args = args, cwd = options.cwd, env = environment_list(options.env), stdio = {stdin, out, err},
  }, function(code, signal)
    self.code, self.signal = code, signal
    running[self.pid] = nil
    self.handle:close()
  end)
  uv.fs_close(out)
  if err ~= out then
    uv.fs_close(err)
  end
  assert(self.handle, self.pid)
  running[self.pid] = self
  if stdin then
    stdin:write(options.stdin)
    stdin:shutdown(function() stdin:close() end)
  end
  return self
end

--- True until the process was reaped.
function Process:is_running()
  return self.code == nil
end

--- Sends a signal ("sigterm", …) if it still runs.
function Process:kill(signal)
  if self:is_running() then
    self.handle:kill(signal or "sigterm")
  end
end

--- Waits until the process has ended.
-- @treturn int exit code
-- @treturn int signal, 0 when it exited
function Process:wait(deadline_ms)
  loop.wait_for(self.argv[1] .. " ends", deadline_ms or 10000, function() return self.code ~= nil end)
  return self.code, self.signal
end

--- Ends it with `signal`, and with SIGKILL when that does not help in time.
function Process:stop(signal, deadline_ms)
  self:kill(signal)
  local ok = pcall(self.wait, self, deadline_ms or 10000)
  if not ok then
    self:kill("sigkill")
    self:wait(5000)
  end
  return ok
end

--- Runs a program to its end.
-- @treturn table {code, stdout, stderr}
function M.run(argv, options)
  options = options or {}
  local base = os.tmpname()
  local settings = {stdout = base .. ".out", stderr = base .. ".err", env = options.env, cwd = options.cwd, stdin = options.stdin}
  local process = M.start(argv, settings)
  local ended, reason = pcall(process.wait, process, options.timeout_ms or 20000)
  if not ended then
    process:stop("sigkill")
  end
  local result = {code = process.code, signal = process.signal, stdout = M.slurp(settings.stdout), stderr = M.slurp(settings.stderr)}
  os.remove(base)
  os.remove(settings.stdout)
  os.remove(settings.stderr)
  if not ended then
    error(("%s\nstdout: %s\nstderr: %s"):format(reason, result.stdout, result.stderr), 2)
  end
  return result
end

--- Ends whatever this test still has running (its last resort).
function M.stop_all()
  for _, process in pairs(running) do
    process:stop("sigkill", 5000)
  end
end

--- Looks at a process of any origin.
-- @treturn table {state, parent, group, session, start_ticks}, or nil when it is gone or a zombie
function M.look(pid)
  local stat = M.slurp(("/proc/%d/stat"):format(pid))
  local fields = {}
  for field in (stat:match("%) (.*)") or ""):gmatch("%S+") do
    fields[#fields + 1] = field
  end
  if #fields == 0 or fields[1] == "Z" then
    return nil
  end
  return {
    state = fields[1], parent = tonumber(fields[2]), group = tonumber(fields[3]),
    session = tonumber(fields[4]), start_ticks = tonumber(fields[20]),
  }
end

--- The arguments of a process, joined by blanks; "" when it is gone.
function M.command_line(pid)
  return (M.slurp(("/proc/%d/cmdline"):format(pid)):gsub("%z", " "):gsub(" $", ""))
end

--- Ids of all live processes whose command line contains `text` literally.
-- Tests put a word of their own into the commands they hand to agents.
function M.find(text)
  local found = {}
  local scan = uv.fs_scandir("/proc")
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then
      break
    end
    local pid = tonumber(name)
    if pid and M.command_line(pid):find(text, 1, true) and M.look(pid) then
      found[#found + 1] = pid
    end
  end
  table.sort(found)
  return found
end

--- Ids of all live processes that began with `text` in their environment.
function M.find_environment(text)
  local found = {}
  local scan = uv.fs_scandir("/proc")
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then
      break
    end
    local pid = tonumber(name)
    if pid and M.slurp(("/proc/%d/environ"):format(pid)):find(text, 1, true) and M.look(pid) then
      found[#found + 1] = pid
    end
  end
  return found
end

return M
