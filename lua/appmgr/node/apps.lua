--- All applications of this node: what is wanted is compared with what the keeper holds.
--
-- Wanted are the configuration's applications and the replicas of the
-- assignment; what the keeper's list shows is taken over by its tag, so that
-- nothing is started twice. Nothing is named, started or stopped before the
-- keeper has given its first list. Both take their turns (turns.lua): a node may
-- have thousands of applications, and its loop is never held by them for long.
--
-- A replica that runs is stopped only because an assignment from Consul was
-- read that does not hold it: what the state directory remembers starts
-- replicas and stops none.
local App = require("appmgr.node.app")
local launch = require("appmgr.node.launch")
local output_trouble = require("appmgr.node.output_trouble")
local resource_limit = require("appmgr.resource_limit")
local row = require("appmgr.node.row")

local M = {}

local Apps = {}
Apps.__index = Apps

--- @tparam table deps `json`, `codec`, `log`, `problems`, `clock`, `usage` (node/usage.lua), `node`, `inherited`
--   (environment of applications), `log_dir`, `owner` (user who runs what names no user), `history` (node/history.lua),
--   `schedule` (when they run), `health` (node/health.lua: whether they are well), `lease` (node/lease.lua; nil without
--   Consul: there are no replicas then), `turns` (turns.lua, for this alone),
--   `on_failure` (function(task): a replica of it ended by a failure or could not be started), `on_change` (function(), what
--   `list` shows has changed)
-- @treturn Apps with nothing wanted and no keeper
function M.new(deps)
  local self
  self = setmetatable({
    context = {
      json = deps.json, codec = deps.codec, node = deps.node, inherited = deps.inherited, log_dir = deps.log_dir,
      clock = deps.clock, owner = deps.owner,
    },
    log = deps.log, problems = deps.problems, clock = deps.clock, usage = deps.usage, history = deps.history,
    schedule = deps.schedule, health = deps.health, turns = deps.turns, lease = deps.lease, on_change = deps.on_change,
    on_failure = deps.on_failure, held_locals = { names = {} },
    by_id = {}, by_name = {}, locals = {}, local_list = {}, replicas = {}, replicas_are_decided = false,
    client_now = function() return self:keeper() end,
    app_changed = function(app)
      self.health:changed(app)
      self.usage:changed(app)
      self.on_change()
    end,
  }, Apps)
  return self
end

--- Gives the keeper's client. Its callbacks are `keeper_ready`, `keeper_event`, `keeper_lost` and `keeper_silent`.
-- @tparam table client from core.process; borrowed
function Apps:connect(client)
  self.client = client
end

--- @treturn ?table the keeper's client; nil while it cannot be reached
function Apps:keeper()
  return self.is_connected and self.client or nil
end

--- A name for one more slot of a task: the task's, or the first `#k` that is free.
local function free_name(self, task)
  local name, k = task, 1
  while self.by_name[name] do
    k = k + 1
    name = ("%s#%d"):format(task, k)
  end
  return name
end

--- Puts an application under a name; a replica that has it makes room for a local one.
local function take_name(self, app, name)
  local holder = self.by_name[name]
  if holder and holder ~= app then
    if app.kind == "replica" then
      name = free_name(self, app.task)
    else
      self.by_name[name] = app
      take_name(self, holder, free_name(self, holder.task or holder.name))
    end
  end
  app.name = name
  self.by_name[name] = app
end

local function add_app(self, id, identity)
  local app = App.new({
    id = id, kind = identity.kind, name = identity.name, task = identity.task, slot = identity.slot, log = self.log,
    keeper = self.client_now, on_change = self.app_changed,
  })
  self.by_id[id] = app
  take_name(self, app, identity.name or identity.task)
  app.is_wanted = true
  return app
end

--- Says of an application's output that it cannot be written, or that this is over.
local function tell_output(self, app)
  local key = "output/" .. app.id
  if not app.output then return self.problems:clear(key) end
  self.problems:set(key, ('application "%s": %s; make room, or take "max_mb" or "files" down in its "output"'):format(app.name,
    output_trouble.text(app.output, launch.output_path(self.context.log_dir, app.name))))
end

local function drop_app(self, app)
  self.problems:clear("output/" .. app.id)
  self.by_id[app.id] = nil
  self.history:forget(app.id)
  if self.by_name[app.name] == app then self.by_name[app.name] = nil end
  self.on_change()
end

--- A definition for an application; the one it has when the document is the same.
local function definition_for(self, app, document, version)
  local shown = app.shown
  local is_same = shown and shown.application == document and shown.version == version and shown.fence == app.fence
  if is_same and shown.peers == app.peers and launch.same_ports(shown.ports, app.ports) then return shown end
  return launch.definition(document, {
    id = app.id, kind = app.kind, name = app.name, task = app.task, slot = app.slot, version = version, ports = app.ports,
    fence = app.fence, peers = app.peers,
  }, self.context)
end

--- Says what is wanted of one application, by its document.
local function want_document(self, app, document, version)
  local definition = definition_for(self, app, document, version)
  if document.status ~= 0 then return self.schedule:want(app, definition) end
  self.schedule:forget(app)
  app:want("off", definition)
end

--- What becomes of a replica that must not run without Consul: nil where that changes nothing.
local function lease_ruling(self, app, replica)
  local seconds = replica.application and replica.application.stop_after_seconds
  if not seconds then return nil end
  return self.lease:ruling(seconds, app.state ~= "idle" and app.state ~= "stopping", replica.not_before_ms)
end

--- Tells the lease for how long its replicas may go on without it.
local function set_terms(self, replicas)
  if not self.lease then return end
  local terms_s = {}
  for _, replica in ipairs(replicas) do
    local seconds = replica.application and replica.application.stop_after_seconds
    if seconds then terms_s[seconds] = true end
  end
  self.lease:set_terms(terms_s)
end

local function want_replica(self, app, replica)
  app.version, app.ports, app.fence, app.peers = replica.version, replica.ports, replica.fence, replica.peers
  local mode, reason = lease_ruling(self, app, replica)
  if mode then
    self.schedule:pause(app)
    return app:want(mode, app.shown, (mode == "off" or app.state == "idle") and reason or nil)
  end
  if not self.held and replica.application then
    return want_document(self, app, replica.application, replica.version)
  end
  self.schedule:pause(app)
  if self.held then return app:want("keep", app.shown, app.state == "idle" and self.held or nil) end
  app:want("keep", nil, replica.error)
end

--- The replicas that may run here: those that stay, and whose name no local application has.
local function runnable_replicas(self)
  local list, told = {}, {}
  for _, replica in ipairs(self.replicas) do
    if self.locals[replica.task] then
      local key = "apps/name/" .. replica.task
      told[key] = true
      self.problems:set(key, ('task "%s" is not run on node "%s": a local application has the same name; rename one of'
        .. " them"):format(replica.task, self.context.node))
    elseif not replica.leaving then
      list[#list + 1] = replica
    end
  end
  self.problems:clear_prefix("apps/name/", told)
  return list
end

--- Whether an application that is not wanted may be stopped.
local function may_stop(self, app)
  if app.kind == "local" then return not self.held_locals.all and not self.held_locals.names[app.name] end
  if self.held then return false end
  return self.replicas_are_decided or self.locals[app.task] ~= nil
end

--- Stops what is not wanted and forgets what is gone.
local function settle_rest(self, wanted)
  for id, app in pairs(self.by_id) do
    app.is_wanted = wanted[id] ~= nil
    if not app.is_wanted then
      self.schedule:pause(app)
      app:want(may_stop(self, app) and "off" or "keep", app.shown)
      if app.state == "idle" then drop_app(self, app) end
    end
  end
end

--- Drops the history of what left this node while no agent ran, once it is known all that is to run.
local function tidy_history(self)
  if self.history_is_tidy or not self.is_ready or not self.replicas_are_decided or self.held_locals.all then return end
  self.history_is_tidy = true
  self.history:keep_only(self.by_id)
end

--- Compares all that is wanted with all that is there. Stops come before starts, and all in one turn: who reads an
-- assignment here knows that what is not in it ends.
local function reconcile(self)
  if not self.is_ready or self.is_closing then return end
  local replicas, wanted = runnable_replicas(self), {}
  for _, identity in pairs(self.locals) do wanted[identity.id] = true end
  for _, replica in ipairs(replicas) do wanted[replica.id] = true end
  settle_rest(self, wanted)
  set_terms(self, replicas)
  local locals, index = self.local_list, 0
  self.turns:run(function()
    index = index + 1
    local identity, replica = locals[index], replicas[index - #locals]
    if identity then
      want_document(self, self.by_id[identity.id] or add_app(self, identity.id, identity), identity.application)
    elseif replica then
      want_replica(self, self.by_id[replica.id] or add_app(self, replica.id, replica), replica)
    end
    return index < #locals + #replicas
  end, function()
    tidy_history(self)
    self.schedule:prune(function(id, kind)
      return not wanted[id] and (kind == "local" or self.replicas_are_decided)
    end)
  end)
end

--- Sets the local applications; those that are not among them are stopped.
-- @tparam table list array of applications as from application.read_local
-- @tparam[opt] table held those that go on all the same: `names` as keys, or `all`
function Apps:set_local(list, held)
  self.locals, self.local_list, self.held_locals = {}, {}, held or { names = {} }
  for index, document in ipairs(list) do
    local identity = { kind = "local", name = document.name, application = document }
    identity.id = launch.id(self.context.codec, self.context.node, identity)
    self.locals[document.name], self.local_list[index] = identity, identity
  end
  reconcile(self)
end

--- Sets the replicas this node is to run.
-- @tparam table list array of {task, slot, version, leaving, ports, fence, application} or, where the application cannot be
--   used, `error` instead of it: what runs of that slot stays
-- @tparam boolean decided true when an assignment read from Consul says so: replicas that are not in it are
--   stopped. False for what is remembered: nothing is stopped.
function Apps:set_replicas(list, decided)
  self.replicas = {}
  for index, replica in ipairs(list) do
    local identity = {
      kind = "replica", task = replica.task, slot = replica.slot, version = replica.version,
      leaving = replica.leaving, application = replica.application, error = replica.error, ports = replica.ports,
      fence = replica.fence, peers = replica.peers, not_before_ms = replica.not_before_ms,
    }
    identity.id = launch.id(self.context.codec, self.context.node, identity)
    self.replicas[index] = identity
  end
  self.replicas_are_decided = self.replicas_are_decided or decided
  self.held = nil
  reconcile(self)
end

--- What the lease allows has changed.
function Apps:lease_changed()
  reconcile(self)
end

--- From now until the next `set_replicas` no replica is started, replaced or stopped: what runs goes on.
-- @tparam string reason shown for replicas that do not run
function Apps:hold_replicas(reason)
  self.held = reason
  reconcile(self)
end

local function adopt(self, item)
  if launch.checked_id(item.id) then return end -- its health knows
  local tag = launch.read_tag(item.tag, self.context.json)
  local app = self.by_id[item.id] or (tag and add_app(self, item.id, tag))
  if app then return app:adopt(item, tag or {}) end
  self.log.warn(("keeper: %s was not started by an agent (pid %s): it is left alone"):format(item.id, item.pid or "none"))
end

--- Those that the keeper does not hold any more.
local function lost_ones(self, listed)
  local lost = {}
  for id, app in pairs(self.by_id) do
    if not listed[id] then lost[#lost + 1] = app end
  end
  return lost
end

--- All of the keeper's list was taken over: what it told meanwhile is heard now.
local function adopted(self)
  local events = self.heard
  self.is_ready, self.heard = true, nil
  for _, app in pairs(self.by_id) do tell_output(self, app) end
  for _, event in ipairs(events) do self:keeper_event(event) end
  reconcile(self)
  self.on_change()
end

--- The keeper gave its list: what it holds is taken over, what it lost is started again.
-- @tparam table list as from core.process
-- @tparam[opt] table containment how the keeper holds its children together: `cgroup` or `error`, from core.process
function Apps:keeper_ready(list, containment)
  self.problems:clear("keeper")
  self.containment = containment
  self.is_ready, self.is_connected, self.heard = false, true, {}
  if self.lease then self.lease:keeper_ready() end
  self.health:take_over(list)
  local index, listed, lost = 0, {}, nil
  for _, item in ipairs(list) do listed[item.id] = true end
  self.turns:run(function()
    index = index + 1
    if index <= #list then
      adopt(self, list[index])
    else
      lost = lost or lost_ones(self, listed)
      if lost[index - #list] then lost[index - #list]:lost() end
    end
    return index < #list + (lost and #lost or 1)
  end, function() adopted(self) end)
end

--- Whether the keeper stops by itself what must not run without Consul.
local function is_end_of_lease(app, event)
  local is_stop = event.type == "stopping" or event.type == "stopped"
  local has_lease = app.wanted and app.wanted.application.stop_after_seconds
  return is_stop and has_lease and app.state ~= "replacing" and app.state ~= "stopping"
end

--- Whether an event is one that should not have been.
local function is_failure(event)
  if event.type == "spawn_failed" then return true end
  return event.type == "exited" and event.next ~= "stop" and (event.signal ~= nil or event.code ~= 0)
end

--- The keeper says what happened to an application.
-- @tparam table event as from core.process
function Apps:keeper_event(event)
  if self.heard then
    self.heard[#self.heard + 1] = event
    return
  end
  if event.type == "exited" or event.type == "spawn_failed" then
    self.history:note(self.by_id[event.id] and event.id, event, self.clock.now(), event.sequence and function()
      self.client:acknowledge(event.sequence)
    end)
  end
  if event.step == "records" and event.type == "error" then
    if event.message then self.problems:set("keeper/records", event.message) else self.problems:clear("keeper/records") end
    return
  end
  if self.health:keeper_event(event) then return end
  if event.type == "error" and event.step ~= "start" then
    local about = event.id and (self.by_id[event.id] and "application " .. self.by_id[event.id].name or event.id)
    self.log.error(("keeper: %s%s"):format(about and about .. ": " or "", event.message))
    return
  end
  local app = self.by_id[event.id]
  if not app or self.is_closing then return end
  if is_end_of_lease(app, event) then self.lease:ended() end
  if app.task and self.on_failure and is_failure(event) then self.on_failure(app.task) end
  local error_before = app.error
  app:handle(event, self.clock.now())
  if event.type == "output" then return tell_output(self, app) end
  self.schedule:changed(app)
  if not event.error or event.error ~= error_before then self:tell(app, event) end
  if app.state == "idle" and not app.is_wanted then drop_app(self, app) end
end

--- Says which limits this machine does not keep; once, until that changes.
local function tell_limits(self, app, event)
  local enforced = resource_limit.enforced(app.shown and app.shown.application.resource_limit, event.enforced) or {}
  local parts = {}
  for name, how in pairs(enforced) do
    local why = how:match("^not enforced: (.*)")
    if why then parts[#parts + 1] = ("%s (%s)"):format(name, why) end
  end
  table.sort(parts)
  local text = #parts > 0 and table.concat(parts, ", ") or nil
  if text and text ~= app.told_limits then self.log.warn(("%s: limits that are not enforced: %s"):format(app.name, text)) end
  app.told_limits = text
end

--- Logs what an operator wants to find there.
function Apps:tell(app, event)
  if event.type == "exited" and event.next ~= "stop" then
    local how = event.out_of_memory and "killed by the kernel: out of memory"
      or event.signal and ("ended by signal %d"):format(event.signal)
      or event.code and ("exited with %s"):format(event.code)
      or "ended, exit code unknown: no keeper was there to see it"
    self.log.info(("%s: %s%s"):format(app.name, how, event.next == "restart"
      and (", started again in %g s"):format((event.delay_ms or 0) / 1000) or ""))
  elseif event.type == "started" then
    self.log.info(("%s: runs as pid %d"):format(app.name, event.pid))
    tell_limits(self, app, event)
  elseif event.type == "spawn_failed" then
    self.log.warn(("%s: cannot be started: %s"):format(app.name, event.error))
  elseif event.type == "error" then
    self.log.warn(("%s: %s"):format(app.name, event.error))
  elseif event.type == "phase" and event.error and event.phase == "fini" then
    self.log.warn(("%s: %s"):format(app.name, event.error))
  elseif event.type == "gave_up" then
    self.log.warn(('%s: ended too often and is not started again; "appmgr app restart %s" starts it'):format(app.name, app.name))
  elseif event.type == "stopped" then
    self.log.info(app.name .. ": stopped")
  end
end

local function tell_lost(self)
  self.problems:set("keeper", ("the keeper cannot be reached: %s; applications go on as they are, it is tried again")
    :format(self.lost_reason))
end

--- The keeper cannot be reached; its client tries again by itself.
-- @tparam string reason
function Apps:keeper_lost(reason)
  self.is_connected = false
  if self.heard then self.turns:cancel() end -- of half a list nothing is known; the next one says it all
  self.lost_reason = reason
  if self.is_closing then self.log.warn(("what runs is not ended yet: %s; it is tried again"):format(reason)) end
  -- An upgrade says itself how it ended.
  if not self.is_closing and not self.is_upgrading then tell_lost(self) end
end

--- The keeper is connected and does not read what it is sent; what it is asked for waits until it does.
-- @tparam ?integer pid of the keeper; nil: it reads again, or is lost
function Apps:keeper_silent(pid)
  if not pid then
    self.silence = nil
    self.problems:clear("keeper/silent")
    return
  end
  self.silence = ('the keeper (process %d) does not answer, it is stopped or hangs: "kill -CONT %d" lets a stopped one go on,'
    .. ' after "kill -9 %d" another one takes all over'):format(pid, pid, pid)
  self.problems:set("keeper/silent", self.silence
    .. "; applications go on as they are, but none is started, stopped or restarted meanwhile")
end

--- Stops all applications and ends the keeper. Nothing is started afterwards.
-- @tparam function callback called once all are gone
function Apps:stop_all(callback)
  self.is_closing, self.heard = true, nil
  self.turns:cancel()
  self.schedule:stop()
  self.health:stop()
  self.client:shutdown(callback)
end

--- Has the keeper execute its program, as it is installed now, in its place; applications do not notice.
-- @tparam function callback (true | nil, err), when the new program has taken over or the old one goes on
function Apps:upgrade_keeper(callback)
  if not self.is_connected or self.is_closing then return callback(nil, "the keeper is not connected; try again") end
  if self.silence then return callback(nil, self.silence) end
  local asked, err = self.client:upgrade(function(done, failure)
    self.is_upgrading = false
    if done then self.log.info("the keeper runs its new program") end
    if not self.is_connected and not self.is_closing then tell_lost(self) end
    callback(done, failure)
  end)
  if not asked then return callback(nil, err) end
  self.is_upgrading = true
end

--- Leaves the keeper and its applications to the next agent.
function Apps:close()
  self.is_closing, self.heard = true, nil
  self.turns:cancel()
  self.schedule:stop()
  self.health:stop()
  if self.client then self.client:close() end
end

--- Measures what the process trees of what runs use.
-- @tparam function callback called when that is known
function Apps:sample(callback)
  self.usage:measure(self.by_id, callback, self.containment and self.containment.cgroup)
end

--- @treturn table array of rows (fields of the status key), by name; empty before the keeper has answered
function Apps:list()
  local rows = {}
  for _, app in pairs(self.by_id) do rows[#rows + 1] = row.of(app, self.context) end
  table.sort(rows, function(a, b) return a.name < b.name end)
  return rows
end

--- @tparam string name as shown
-- @treturn ?table its row (fields of the status key)
function Apps:row(name)
  local app = self.by_name[name]
  return app and row.of(app, self.context)
end

--- The names that output is kept under; nil while it is not known all that belongs to this node.
-- @tparam boolean alone there is no Consul, and so no replica
-- @treturn ?table names as keys
function Apps:names(alone)
  if not self:is_known() or not (alone or self.replicas_are_decided) or self.held_locals.all then return nil end
  local names = {}
  for name in pairs(self.by_name) do names[name] = true end
  return names
end

--- @treturn table as keys, the tasks that have replicas here
function Apps:tasks()
  local tasks = {}
  for _, app in pairs(self.by_id) do
    if app.task then tasks[app.task] = true end
  end
  return tasks
end

--- @treturn integer how many applications there are
function Apps:count()
  local count = 0
  for _ in pairs(self.by_id) do count = count + 1 end
  return count
end

--- @treturn ?table rows by name, nil while the keeper has not said what runs
function Apps:rows()
  if not self.is_ready then return nil end
  local rows = {}
  for name, app in pairs(self.by_name) do rows[name] = row.of(app, self.context) end
  return rows
end

--- How what runs is held together.
-- @treturn ?table `level` ("cgroup" or "session"), `directory` of the cgroups, or `reason` why there are none; nil while the
--   keeper has not said it
function Apps:containment_level()
  local told = self.containment
  if not told then return nil end
  return { level = told.cgroup and "cgroup" or "session", directory = told.cgroup, reason = told.error }
end

--- Whether the keeper has said what runs, and that is taken over.
function Apps:is_taken_over()
  return self.is_ready == true
end

--- Whether it is settled what runs: before that, an absent application says nothing.
function Apps:is_known()
  return self.is_ready == true and not self.turns:is_busy()
end

--- Stops an application and starts it once.
-- @tparam string name as shown
-- @tparam function callback called with its row when it runs, or could not be started
-- @treturn boolean|nil, string `nil, err` when that cannot be done; nothing is called then
function Apps:restart(name, callback)
  local app = self.by_name[name]
  if not app then return nil, "there is no such application" end
  if self.silence then return nil, self.silence end
  local function done() callback(row.of(app, self.context)) end
  if not self.schedule:has_runs(app) then return app:restart(done) end
  if not self.is_ready then return nil, "the keeper cannot be reached at the moment; try again" end
  local begun, err = self.schedule:run_now(app)
  if begun then app:on_restarted(done) end
  return begun, err
end

--- Sends an application the signal at which it reads its configuration again.
-- @tparam string name as shown
-- @treturn boolean|nil, string `nil, err` when that cannot be done
function Apps:reload(name)
  local app = self.by_name[name]
  if not app then return nil, "there is no such application" end
  return app:reload()
end

--- How an application ran.
-- @tparam string name as shown
-- @tparam integer count at most so many runs
-- @treturn {table,...} oldest first, as from node/history.lua; the one that runs is the last and has no end
function Apps:runs(name, count)
  local app = self.by_name[name]
  if not app then return {} end
  local runs = self.history:read(app.id, count)
  if app.pid then runs[#runs + 1] = { pid = app.pid, started = app.started_at } end
  return table.move(runs, math.max(1, #runs - count + 1), #runs, 1, {})
end

--- Where an application's output is.
-- @tparam string name as shown
-- @treturn string path; there may be no such file yet
function Apps:output_path(name)
  return launch.output_path(self.context.log_dir, name)
end

return M
