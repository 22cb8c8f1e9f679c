--- One application of this node: what is wanted of it, and what the keeper says of it.
--
-- The machine is the table `action[state][event]` below: what to tell the
-- keeper, and the state that follows. It is level-triggered: `settle` compares
-- what is wanted with what the keeper holds and raises one event; calling it
-- again changes nothing. That is why a lost keeper, a lost message or a new
-- agent need no cases of their own: the keeper's record is taken over, and the
-- comparison is made again.
--
--   idle       the keeper holds nothing of it
--   starting   told to start, not confirmed yet
--   running
--   backoff    it ended or could not be started; the keeper tries again by itself
--   stopping   told to stop and not wanted any more
--   replacing  told to stop, to be started anew afterwards
--   failed     it ended, or could not be started, and is not to be tried again
--   gave_up    too many attempts
local output_trouble = require("appmgr.node.output_trouble")

local M = {}

local App = {}
App.__index = App

-- What is told to the keeper. Each takes the application and its client; a spawn that cannot even be sent (it is
-- larger than a message may be) gives the reason back.
local command = {}

function command.spawn(app, keeper)
  local wanted = app.wanted
  app.kept = {
    hash = wanted.hash, tag = wanted.tag, run = wanted.run, version = wanted.version, ready = wanted.ready,
    definition = wanted,
  }
  app.error, app.next_start_at, app.starts = nil, nil, 0
  local _, refusal = keeper:spawn(wanted:spawn())
  return refusal
end

function command.stop(app, keeper)
  keeper:stop(app.id)
end

function command.update(app, keeper)
  local wanted = app.wanted
  app.kept.tag, app.kept.version, app.kept.definition = wanted.tag, wanted.version, wanted
  app.kept.ready = wanted.ready
  local spawn = wanted:spawn()
  keeper:update(app.id, {
    tag = spawn.tag, stop_signal = spawn.stop_signal, stop_timeout_ms = spawn.stop_timeout_ms, restart = spawn.restart,
    limits = spawn.limits,
    lease_ms = spawn.lease_ms or 0, max_output_bytes = spawn.max_output_bytes, output_files = spawn.output_files,
    output_waits = spawn.output_waits,
  })
end

function command.forget(app, keeper)
  keeper:forget(app.id)
  app.kept, app.pid, app.next_start_at = nil, nil, nil
end

function command.respawn(app, keeper)
  command.forget(app, keeper)
  return command.spawn(app, keeper)
end

-- The keeper lost its record (it was killed): there is nothing to forget.
function command.drop(app)
  app.kept, app.pid, app.next_start_at = nil, nil, nil
end

local function go(state, name) return { state = state, command = name } end
local stay = go()

local spawn, respawn = go("starting", "spawn"), go("starting", "respawn")
local stop, replace = go("stopping", "stop"), go("replacing", "stop")
local update, forget, drop = go(nil, "update"), go("idle", "forget"), go("idle", "drop")
local started, backoff = go("running"), go("backoff")
local failed, gave_up = go("failed"), go("gave_up")

-- Events of ours: start, stop, replace, update. Of the keeper: started; exited (it will try again);
-- ended (it will not); stopping; stopped; gave_up; lost (a keeper that does not know the application).
-- A stop that nobody here asked for is followed by a start, because the application is wanted.
local action = {
  idle = {
    start = spawn, stop = stay, replace = spawn, update = stay, started = stay, exited = stay,
    ended = stay, stopping = stay, stopped = stay, gave_up = stay, lost = stay,
  },
  starting = {
    start = stay, stop = stop, replace = replace, update = update, started = started, exited = backoff,
    ended = failed, stopping = go("replacing"), stopped = respawn, gave_up = gave_up, lost = spawn,
  },
  running = {
    start = stay, stop = stop, replace = replace, update = update, started = stay, exited = backoff,
    ended = failed, stopping = go("replacing"), stopped = respawn, gave_up = gave_up, lost = spawn,
  },
  backoff = {
    start = stay, stop = stop, replace = replace, update = update, started = started, exited = stay,
    ended = failed, stopping = go("replacing"), stopped = respawn, gave_up = gave_up, lost = spawn,
  },
  stopping = {
    start = go("replacing"), stop = stay, replace = go("replacing"), update = stay, started = stay, exited = stay,
    ended = stay, stopping = stay, stopped = forget, gave_up = stay, lost = drop,
  },
  replacing = {
    start = stay, stop = go("stopping"), replace = stay, update = stay, started = stay, exited = stay,
    ended = stay, stopping = stay, stopped = respawn, gave_up = stay, lost = spawn,
  },
  failed = {
    start = stay, stop = forget, replace = respawn, update = update, started = started, exited = backoff,
    ended = stay, stopping = stay, stopped = stay, gave_up = gave_up, lost = spawn,
  },
  gave_up = {
    start = stay, stop = forget, replace = respawn, update = update, started = started, exited = backoff,
    ended = failed, stopping = stay, stopped = stay, gave_up = stay, lost = spawn,
  },
}
M.action = action

--- @tparam table deps `id` (the keeper's id, for the application's whole life), `kind` ("local" or "replica"),
--   `name` (as shown), `task` and `slot` of a replica, `keeper` (function returning the client, or nil while
--   there is none), `log`, `on_change` (function(app), called when something that is shown has changed)
-- @treturn App idle, with nothing wanted
function M.new(deps)
  return setmetatable({
    id = deps.id, kind = deps.kind, name = deps.name, task = deps.task, slot = deps.slot,
    keeper = deps.keeper, log = deps.log, on_change = deps.on_change,
    state = "idle", starts = 0, mode = "off",
  }, App)
end

--- The states in which an application is on its way to another one.
local UNDER_WAY = { starting = true, stopping = true, replacing = true }

--- What runs, or what would: its document. Nil while that is not known.
function App:document()
  local definition = self.kept and self.kept.definition or self.shown
  return definition and definition.application
end

--- Whether its process runs and has not said yet that it is ready, where it is to say so.
function App:is_getting_ready()
  return self.state == "running" and not self.is_ready and self.kept ~= nil and self.kept.ready ~= nil
end

--- Calls who waits for the end of a restart. A start that takes long is no reason to wait.
local function tell_restarted(self)
  local callback = self.restarted
  local is_under_way = UNDER_WAY[self.state] and not (self.is_slow and self.state == "starting")
  if not callback or is_under_way or (self.state == "idle" and self.mode == "run") then return end
  if self:is_getting_ready() then return end
  self.restarted = nil
  callback()
end

--- Raises one event: tells the keeper what the table says and takes the new state.
local function fire(self, event)
  local step = action[self.state][event]
  local before = self.state
  -- An application that is only kept (its document is not known) has nothing to start again.
  if (step.command == "spawn" or step.command == "respawn") and not self.wanted then
    step = step.command == "spawn" and drop or forget
  end
  if step.state then self.state = step.state end
  local refusal = step.command and command[step.command](self, self.keeper())
  if refusal then
    self.state, self.error = "failed", refusal
    self.log.warn(("%s: cannot be started: %s"):format(self.name, refusal))
  end
  if self.state ~= before or step.command then
    self.log.debug(("%s: %s, %s → %s"):format(self.name, event, before, self.state))
    self.on_change(self)
  end
  tell_restarted(self)
end

--- Compares what is wanted with what is there and takes one step, if one is needed.
-- Does nothing while there is no keeper: it is called again when there is.
function App:settle()
  -- While the keeper clears away what the last process left, it takes no other order.
  if self.mode == "keep" or self.is_clearing or not self.keeper() then return end
  local wanted, kept = self.wanted, self.kept
  if self.mode == "off" then fire(self, "stop")
  elseif self.state == "idle" or not kept then fire(self, "start")
  elseif kept.hash ~= wanted.hash or kept.run ~= wanted.run then fire(self, "replace")
  elseif kept.tag ~= wanted.tag then fire(self, "update")
  else
    kept.definition = wanted -- what else has changed is no concern of the keeper's
    fire(self, "start")
  end
end

--- Says what is wanted from now on, and begins with it.
-- @tparam string mode `run` with a definition; `off`: what runs is stopped; `keep`: what runs stays as it
--   is, whatever that is (its document is not known or not usable)
-- @tparam[opt] table definition from launch.definition; with `off` and `keep` only to be shown
-- @tparam[opt] string blocked why a wanted application is not started, for people
function App:want(mode, definition, blocked)
  assert(mode ~= "run" or definition, "an application that is to run needs a definition")
  local changed = self.blocked ~= blocked or self.shown ~= definition
  self.mode, self.blocked, self.shown = mode, blocked, definition
  self.wanted = mode == "run" and definition or nil
  self:settle()
  if changed then self.on_change(self) end
end

--- Stops what runs and starts it once; what failed, gave up or waits for its next try is started at once.
-- @tparam function callback called when it runs, or could not be started: `state` says which
-- @treturn boolean|nil, string `nil, err` when it is not to run, or there is no keeper now; nothing is called then
function App:restart(callback)
  if not self.keeper() then return nil, "the keeper cannot be reached at the moment; try again" end
  if self.mode == "off" then return nil, "it is disabled" end
  if self.mode == "keep" then return nil, self.blocked or "what it is to run is not known at the moment" end
  self:on_restarted(callback)
  fire(self, "replace")
  return true
end

--- Calls back once the start that is now asked for is done, or could not be.
function App:on_restarted(callback)
  local before = self.restarted
  self.restarted = before and function() before() callback() end or callback
end

--- The state that a keeper's record stands for.
local function state_of(item, mode, run)
  local is_resting = item.state == "stopped" or item.state == "stopping"
  -- It ended by itself and is not to be restarted, or is given up once what it left is cleared away.
  if is_resting and item.next == "none" then return "failed" end
  -- A run that has ended keeps its record, so that it is not begun again.
  if item.state == "stopped" then return run and "failed" or "stopping" end
  if item.state == "stopping" then return mode == "run" and "replacing" or "stopping" end
  return item.state
end

--- Takes over the keeper's record of this application, after a connection was made.
-- Call `settle` (or `want`) afterwards.
-- @tparam table item an element of the keeper's list
-- @tparam table tag the decoded tag: what was in force when it was started or last updated
function App:adopt(item, tag)
  local definition = self.kept and self.kept.tag == item.tag and self.kept.definition or nil
  self.kept = {
    hash = tag.hash, tag = item.tag, run = tag.run, version = tag.version, ready = tag.ready, definition = definition,
  }
  self.pid, self.started_at, self.starts = item.pid, item.started_at, item.starts or 0
  self.last_exit, self.error = item.last_exit, item.error
  self.is_slow = item.state == "starting" and item.error ~= nil
  self.is_ready, self.phase, self.health = item.ready == true, item.phase, nil
  self.cgroup, self.group_only, self.enforced = item.cgroup, item.group_only, item.enforced
  self.output = output_trouble.of(item)
  self.next_start_at = item.next_start_at
  self.state = state_of(item, self.mode, tag.run)
  self.is_clearing = item.state == "stopping" and self.state == "failed"
  self.on_change(self)
  if self.state == "stopping" and item.state == "stopped" then fire(self, "stopped") end
end

--- It is ready: something else than the application itself has found that out. The keeper keeps it in mind.
function App:set_ready()
  local keeper = self.keeper()
  if not keeper then return end
  self.is_ready = true
  keeper:set_ready(self.id, self.starts)
  tell_restarted(self)
  self.on_change(self)
end

--- Says how its health is.
-- @tparam string health "healthy", "unhealthy" or "unknown"
-- @tparam[opt] string why what the last check said, of one that is not healthy
function App:set_health(health, why)
  if self.health == health and self.health_error == why then return end
  self.health, self.health_error = health, why
  self.on_change(self)
end

--- Ends its process; what follows is as if it had ended by itself.
-- @tparam string why for people
-- @treturn boolean false while there is no keeper
function App:end_run(why)
  local keeper = self.keeper()
  if not keeper then return false end
  self.error = why
  keeper:end_run(self.id, why)
  self.on_change(self)
  return true
end

--- Sends it the signal at which it reads its configuration again.
-- @treturn boolean|nil, string `nil, err` when that cannot be done
function App:reload()
  local document = self:document()
  if not self.keeper() then return nil, "the keeper cannot be reached at the moment; try again" end
  if not document or not document.reload_signal then
    return nil, 'its document has no "reload_signal"; add one, or restart it'
  end
  if self.state ~= "running" then return nil, "it does not run" end
  self.keeper():signal(self.id, document.reload_signal)
  return true
end

--- A keeper was asked and does not know this application.
function App:lost()
  self.is_clearing = false
  if self.state ~= "idle" then fire(self, "lost") end
end

-- What an event of the keeper leaves behind, whatever the state.
local note = {}

--- The end of a run as it is shown.
local function exit_of(event)
  return { code = event.code, signal = event.signal, at = event.at, out_of_memory = event.out_of_memory }
end

function note.started(app, event)
  app.cgroup, app.group_only, app.enforced = event.cgroup, event.group_only, event.enforced
  app.pid, app.started_at, app.starts = event.pid, event.started_at, event.starts or app.starts + 1
  app.error, app.next_start_at, app.is_clearing = nil, nil, false
  app.is_ready, app.health, app.phase, app.is_slow = false, "unknown", nil, false
end

function note.exited(app, event)
  app.pid, app.is_ready, app.health = nil, false, nil
  app.last_exit = exit_of(event)
  app.next_start_at = event.next == "restart" and event.at and event.at + (event.delay_ms or 0) / 1000 or nil
  app.is_clearing = event.next == "none"
end

function note.spawn_failed(app, event, now)
  app.pid, app.phase, app.is_slow = nil, nil, false
  app.error = event.error
  app.next_start_at = event.next == "restart" and now + (event.delay_ms or 0) / 1000 or nil
end

function note.error(app, event) app.error, app.is_slow = event.error, true end
function note.limited(app, event) app.enforced = event.enforced end

function note.stopped(app)
  app.pid, app.is_clearing, app.phase = nil, false, nil
  app.error, app.is_slow = not app.is_slow and app.error or nil, false -- it does not take long any more
end

function note.stopping() end
function note.gave_up(app) app.pid, app.next_start_at, app.is_clearing, app.phase = nil, nil, false, nil end
function note.ready(app) app.is_ready = true end
function note.output(app, event) app.output = output_trouble.of(event) end

function note.phase(app, event)
  app.phase, app.error = event.phase, event.error or (not app.is_slow and app.error or nil)
  app.is_slow = false
  if event.phase == "init" then app.next_start_at = nil end -- it has come
end

--- What changes nothing about what is to be done.
local IS_TOLD_ONLY = { ready = true, phase = true, limited = true, output = true, error = true }

--- The event of the table that an event of the keeper stands for.
local function name_of(event)
  if event.type ~= "exited" and event.type ~= "spawn_failed" then return event.type end
  if event.next == "stop" then return nil end -- the group is not gone yet: `stopped` follows
  return event.next == "restart" and "exited" or "ended"
end

--- Whether an exit is of a process before the one that runs, or known: the keeper tells what nobody has
-- acknowledged again after a connection was made, and by then its list has shown it, or the successor.
local function is_history(app, event)
  if event.type ~= "exited" or not event.at then return false end
  if app.last_exit and app.last_exit.at == event.at then return true end
  -- Known by its run and not by its time: the clock may have been set since.
  return app.pid and app.started_at and event.started_at and event.started_at ~= app.started_at
end

--- Takes an event of the keeper about this application.
-- @tparam table event as core.process gives it; an unknown type is left alone
-- @tparam number now unix time in seconds
function App:handle(event, now)
  if not note[event.type] then return end
  if is_history(self, event) then
    self.last_exit = exit_of(event)
    return self.on_change(self)
  end
  local was_clearing = self.is_clearing
  note[event.type](self, event, now)
  local name = name_of(event)
  if IS_TOLD_ONLY[event.type] then tell_restarted(self)
  elseif name then fire(self, name) end
  if was_clearing and not self.is_clearing then self:settle() end
  self.on_change(self)
end

return M
