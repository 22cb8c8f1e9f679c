--- Agents of a test, each with its own folder, configuration, socket and log.
local json = require("dkjson")
local uv = require("luv")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local M = {}

local Agent = {}
Agent.__index = Agent

local SANITIZER_TEXT = {"AddressSanitizer", "LeakSanitizer", "UndefinedBehaviorSanitizer", "runtime error:"}

--- The folder with the binaries under test.
-- Absolute: applications run in a folder of their own.
M.build_dir = assert(uv.fs_realpath(os.getenv("APPMGR_BUILD") or "build"))

--- The path of the program under test.
function M.binary()
  return M.build_dir .. "/appmgr"
end

--- Whether the program under test was built with AddressSanitizer.
function M.is_sanitized()
  return process.slurp(M.binary()):find("__asan_init", 1, true) ~= nil
end

-- The quickest rhythm that Consul allows, so that expiry costs 20 s and not 60.
local function consul_block(self)
  local block = {url = self.consul.url, session_TTL = 10, report_interval = 2, topology_interval = 2, token = self.consul.token}
  for key, value in pairs(self.consul_settings or {}) do
    block[key] = value
  end
  return block
end

--- Writes the configuration again (for SIGHUP, or before the next start).
-- @tparam[opt] table changes keys to set in it
function Agent:configure(changes)
  for key, value in pairs(changes or {}) do
    self.config[key] = value
  end
  process.spit(self.config_path, json.encode(self.config))
end

local function environment(self)
  local env = {
    ASAN_OPTIONS = "detect_leaks=1:log_path=" .. self.dir .. "/sanitizer",
    UBSAN_OPTIONS = "print_stacktrace=1:log_path=" .. self.dir .. "/sanitizer",
    CONSUL_HTTP_ADDR = false, CONSUL_HTTP_TOKEN = false, NOTIFY_SOCKET = false,
  }
  for name, value in pairs(self.env or {}) do
    env[name] = value
  end
  return env
end

local function answers(self)
  local pipe, connected = uv.new_pipe(), nil
  pipe:connect(self.socket, function(err) connected = not err end)
  loop.wait_for("the socket is tried", 15000, function() return connected ~= nil end)
  pipe:close()
  return connected
end

--- Starts the process without waiting for anything.
function Agent:launch()
  assert(not (self.process and self.process:is_running()), "the agent already runs")
  local argv = {M.binary(), "agent", "--config", self.config_path, "--node", self.node,
    "--state-dir", self.state_dir, "--socket", self.socket}
  self.process = process.start(argv, {stdout = self.log_path, stderr = self.log_path, env = environment(self)})
  return self
end

--- Starts the process and waits until its socket answers.
function Agent:start()
  self:launch()
  loop.wait_for(self.node .. " answers on its socket", 15000, function()
    if not self.process:is_running() then
      error(("agent %s ended with %s: %s"):format(self.node, self.process.code, self:log()), 0)
    end
    return answers(self)
  end)
  return self
end

--- Describes an agent; nothing is started yet.
-- @tparam table options dir (must exist), node, consul (or nil), consul_settings, config, env
function M.new(options)
  local self = setmetatable(options, Agent)
  self.state_dir = self.state_dir or self.dir .. "/state"
  self.socket = self.dir .. "/run/appmgr.sock"
  self.config_path, self.log_path = self.dir .. "/appmgr.json", self.dir .. "/agent.log"
  -- An empty configuration is an object too, which an empty table does not tell.
  self.config = setmetatable(self.config or {}, {__jsontype = "object"})
  if self.consul then
    self.config.Consul = self.config.Consul or consul_block(self)
  end
  self:configure()
  return self
end

--- What it wrote to its log so far.
function Agent:log()
  return process.slurp(self.log_path)
end

--- Waits until the log holds `text` literally.
function Agent:wait_for_log(text, deadline_ms)
  loop.wait_for(("the log of %s says %q"):format(self.node, text), deadline_ms or 10000, function()
    local log = self:log()
    return log:find(text, 1, true), "\n" .. log:sub(-2000)
  end)
end

--- How often its log says `text` literally.
function Agent:count_in_log(text)
  local count, at = 0, 1
  local log = self:log()
  while true do
    local first, last = log:find(text, at, true)
    if not first then return count end
    count, at = count + 1, last + 1
  end
end

--- Does something and waits until the log says `text` once more than before.
function Agent:wait_for_more_log(text, action, deadline_ms)
  local before = self:count_in_log(text)
  action()
  loop.wait_for(("the log of %s says %q once more"):format(self.node, text), deadline_ms or 15000, function()
    return self:count_in_log(text) > before, "\n" .. self:log():sub(-2000)
  end)
end

--- Waits until the agent stands under live/ in Consul.
function Agent:wait_joined(deadline_ms)
  loop.wait_for(self.node .. " joins", deadline_ms or 15000, function()
    return self.consul:document("live/" .. self.node), "\n" .. self:log():sub(-1500)
  end)
  return self
end

--- Runs `appmgr <arguments>` against this agent.
-- @treturn table {code, stdout, stderr}
function Agent:cli(...)
  local argv = {M.binary(), ...}
  local options = {}
  if type(argv[#argv]) == "table" then
    options = table.remove(argv)
  end
  local env = environment(self)
  env.APPMGR_SOCKET = self.socket
  return process.run(argv, {env = env, stdin = options.stdin, timeout_ms = options.timeout_ms})
end

--- Runs a command with --json and decodes its answer.
function Agent:json(...)
  local argv = {...}
  argv[#argv + 1] = "--json"
  local result = self:cli(table.unpack(argv))
  assert(result.code == 0, "appmgr " .. table.concat(argv, " ") .. ": " .. result.stderr)
  -- One value: a second one would be taken for options by whoever encodes it again.
  return (assert(json.decode(result.stdout), result.stdout))
end

--- What the agent tells of one application; nil, and why, while it knows none of that name.
function Agent:app(name)
  local result = self:cli("app", "show", name, "--json")
  if result.code ~= 0 then
    return nil, result.stderr
  end
  return (assert(json.decode(result.stdout), result.stdout))
end

--- Sends a signal to the agent and waits for its end.
-- @tparam[opt="sigterm"] string signal
function Agent:stop(signal, deadline_ms)
  return self.process:stop(signal or "sigterm", deadline_ms or 15000)
end

--- The keeper of this agent; nil when none runs.
function Agent:keeper_pid()
  for _, pid in ipairs(process.find(self.state_dir)) do
    local line = process.command_line(pid)
    if line:find("appmgr-keeper", 1, true) and not line:find("--logger", 1, true) then
      return pid
    end
  end
end

--- The mark that the keeper of this agent puts into the environment of what it starts.
local function mark_of(self)
  local state = uv.fs_stat(self.state_dir)
  return state and ("APPMGR_KEEPER=%x.%x\0"):format(state.dev, state.ino)
end

--- Ends everything of this agent at once, applications included.
function Agent:destroy()
  if self.process then
    self.process:stop("sigkill")
  end
  -- The keeper first, which would start anew what it sees end.
  local ours = mark_of(self)
  loop.wait_for("all of " .. self.node .. " is gone", 15000, function()
    local found = process.find(self.state_dir)
    if ours then
      table.move(process.find_environment(ours), 1, 1000, #found + 1, found)
    end
    for _, pid in ipairs(found) do
      uv.kill(pid, "sigkill")
    end
    return #found == 0
  end)
end

--- What sanitizers said about this agent and its keeper; nil when they are content.
function Agent:sanitizer_text()
  local texts = {self:log()}
  local scan = uv.fs_scandir(self.dir)
  while scan do
    local name = uv.fs_scandir_next(scan)
    if not name then
      break
    elseif name:find("^sanitizer") then
      texts[#texts + 1] = process.slurp(self.dir .. "/" .. name)
    end
  end
  local all = table.concat(texts, "\n")
  for _, mark in ipairs(SANITIZER_TEXT) do
    local at = all:find(mark, 1, true)
    if at then
      return all:sub(at - 200 > 0 and at - 200 or 1, at + 4000)
    end
  end
end

return M
