--- One look at an application: by a command, by HTTP, or by a TCP connection.
--
-- Commands are run by the keeper as instances of their own, short ones: it kills what takes too long with all of its session,
-- agent or not, and an agent that is back finds what its predecessor left and clears it away. HTTP and TCP are asked on
-- this loop.
local launch = require("appmgr.node.launch")
local port_name = require("appmgr.port_name")

local M = {}

local Probe = {}
Probe.__index = Probe

--- What an answer may have; a check that says more says too much.
local MAX_BODY_BYTES <const> = 1 << 20

local AT_REST = { stopped = true, failed = true, gave_up = true }

--- @tparam table deps `http` (core.http), `keeper` (function returning the client, or nil)
-- @treturn Probe
function M.new(deps)
  return setmetatable({ http = deps.http, keeper = deps.keeper, requests = {}, commands = {} }, Probe)
end

-- HTTP and TCP -------------------------------------------------------------------

--- "GET http://…: cannot connect: …" without the request, which everybody knows.
local function reason_of(err)
  return err.message:match("^%S+ %S+: (.+)$") or err.message
end

--- Puts the numbers of its ports into what an application's document says.
-- @treturn ?string nil when it has no such port
-- @treturn ?string why not
local function with_ports(text, ports)
  local numbers, lacking = {}, nil
  for name, number in pairs(ports or {}) do numbers[port_name.variable(name)] = tostring(number) end
  local filled = text:gsub("%${([A-Z0-9_]+)}", function(variable)
    if not numbers[variable] then lacking = variable end
    return numbers[variable]
  end)
  if lacking then return nil, ("cannot be made: this application was given no %s"):format(lacking) end
  return filled
end

local function ask(self, id, options, done)
  self.requests[id] = self.http.request(options, function(response, err)
    self.requests[id] = nil
    if err then return done(false, reason_of(err)) end
    local status = response.status
    if status == 0 or status >= 200 and status < 400 then return done(true) end
    done(false, ("answered with status %d"):format(status))
  end)
end

local function ask_http(self, id, check, ports, done)
  local url, reason = with_ports(check.url, ports)
  if not url then return done(false, reason) end
  ask(self, id, {
    url = url, headers = { "Connection: close", "User-Agent: appmgr" }, timeout_ms = check.timeout_ms,
    connect_timeout_ms = check.timeout_ms, max_body_bytes = MAX_BODY_BYTES, fresh = true,
  }, done)
end

local function connect_tcp(self, id, check, ports, done)
  local address, reason = with_ports(check.address, ports)
  if not address then return done(false, reason) end
  ask(self, id, {
    url = "http://" .. address, connect_only = true, timeout_ms = check.timeout_ms,
    connect_timeout_ms = check.timeout_ms,
  }, done)
end

-- Commands -----------------------------------------------------------------------

--- What an exit says.
local function verdict(event, timeout_ms)
  if event.code == 0 then return true end
  if event.code then return false, ("exited with %d"):format(event.code) end
  if event.signal == 9 and (event.ran_ms or 0) >= timeout_ms then
    return false, ("did not end within %g s and was killed"):format(timeout_ms / 1000)
  end
  return false, ("ended by signal %s"):format(event.signal or "?")
end

--- Tells who waits, once.
local function tell(command, ...)
  local done = command.done
  command.done = nil
  if done then done(...) end
end

local function run_command(self, id, definition, done)
  local spawn = launch.check_spawn(definition)
  local command = { done = done, timeout_ms = spawn.run_timeout_ms }
  self.commands[id] = command
  local sent, refusal = self.keeper():spawn(spawn)
  if sent == nil and refusal then
    self.commands[id] = nil
    tell(command, false, refusal)
  end
end

local on = {}

function on.exited(_, _, command, event)
  tell(command, verdict(event, command.timeout_ms or 0))
end

function on.spawn_failed(self, id, command, event)
  self.keeper():forget(event.id)
  self.commands[id] = nil
  tell(command, false, event.error)
end

function on.stopped(self, id, command, event)
  self.keeper():forget(event.id)
  self.commands[id] = nil
  tell(command, nil)
end

-- The keeper would not: that says nothing of the application. One that is slow to start is waited for.
function on.error(self, id, command, event)
  if event.step == "start" then return end
  self.commands[id] = nil
  tell(command, nil)
end

--- Takes an event of the keeper.
-- @tparam table event
-- @treturn boolean whether it is about a check
function Probe:event(event)
  local id = event.id and launch.checked_id(event.id)
  if not id then return false end
  local command = self.commands[id]
  if command and on[event.type] then on[event.type](self, id, command, event) end
  return true
end

--- A keeper gave its list: what was under way is forgotten, and what it holds of checks is cleared away.
-- @tparam table list as from core.process
function Probe:take_over(list)
  local before = self.commands
  self.commands = {}
  for _, item in ipairs(list) do
    local id = launch.checked_id(item.id)
    if id and AT_REST[item.state] then
      self.keeper():forget(item.id)
    elseif id then
      self.commands[id] = {}
      self.keeper():stop(item.id)
    end
  end
  for _, command in pairs(before) do tell(command, nil) end
end

-- What others call ----------------------------------------------------------------

--- Begins a look.
-- @tparam string id the application's
-- @tparam table definition from launch.definition, with a check
-- @tparam function done (is_well, reason), once: true; false and why; nil where nothing can be said
-- @treturn boolean false when the last look has not ended yet, or there is no keeper: nothing is called then
function Probe:begin(id, definition, done)
  local check = definition.application.check
  if self.requests[id] or self.commands[id] or (check.argv and not self.keeper()) then return false end
  if check.argv then run_command(self, id, definition, done)
  elseif check.url then ask_http(self, id, check, definition.ports, done)
  else connect_tcp(self, id, check, definition.ports, done) end
  return true
end

--- Nobody wants to know any more. A command is ended; one that the keeper holds on to is not waited for.
-- @tparam string id the application's
function Probe:cancel(id)
  local request, command = self.requests[id], self.commands[id]
  self.requests[id] = nil
  if request then request:cancel() end
  if command and command.done then
    command.done = nil
    local keeper = self.keeper()
    if keeper then keeper:stop(launch.check_id(id)) end
  end
end

return M
