--- The agent of a node: builds its parts and wires them to each other.
--
-- The only module that knows all others. What happens, in the order it happens:
--
--   start    configuration → state directory (lock, whose it is) → control socket → keeper
--            → local applications → Consul, when it answers
--   Consul   session held → live/<host> acquired (membership) → reports, assignment, election
--   reload   SIGHUP (node/reload.lua): all but Consul; a broken file changes nothing;
--            a policy's file changed (node/policy_source.lua); policy/use changed (leader/policies.lua)
--   stop     SIGTERM (node/ending.lua): resigns, keeps its session, leaves the applications to the keeper
--   leave    SIGINT, `appmgr leave` (node/ending.lua): resigns, stops the applications, ends its session
--
-- With Consul, what the state directory remembers of the last assignment is used
-- when Consul does not answer soon: it may have given the slots away meanwhile.
local Apps = require("appmgr.node.apps")
local Assignment = require("appmgr.node.assignment")
local Failing = require("appmgr.node.failing")
local Health = require("appmgr.node.health")
local History = require("appmgr.node.history")
local Lease = require("appmgr.node.lease")
local Load = require("appmgr.node.load")
local Locals = require("appmgr.node.locals")
local PolicySource = require("appmgr.node.policy_source")
local Probe = require("appmgr.node.probe")
local OldOutput = require("appmgr.node.old_output")
local Problems = require("appmgr.problems")
local Report = require("appmgr.node.report")
local Schedule = require("appmgr.node.schedule")
local State = require("appmgr.node.state")
local Usage = require("appmgr.node.usage")
local Turns = require("appmgr.turns")
local Zone = require("appmgr.when.zone")
local clock = require("appmgr.clock")
local json = require("appmgr.json")
local node_size = require("appmgr.node_size")
local ending = require("appmgr.node.ending")
local launch = require("appmgr.node.launch")
local notify = require("appmgr.node.notify")
local permit = require("appmgr.node.permit")
local reload = require("appmgr.node.reload")

local M = {}

local Agent = {}
Agent.__index = Agent

--- How long Consul may take before what is remembered is used.
local RECALL_MS <const> = 3000
--- Without reports the applications are measured at the seed's rhythm.
local SAMPLE_MS <const> = 10000
local MIB <const> = 1024 * 1024

-- Parts that need no Consul --------------------------------------------------

--- The name behind a user number, as shown for applications that name no user.
local function user_name(file, uid)
  for line in (file.read("/etc/passwd") or ""):gmatch("[^\n]+") do
    local name, number = line:match("^([^:]*):[^:]*:(%d+):")
    if tonumber(number) == uid then return name end
  end
  return tostring(uid)
end

local function open_state(self)
  local core = self.core
  local state, err = State.open({
    file = core.file, timer = core.timer, json = json, problems = self.problems,
    path = self.state_dir, node = self.node, machine_id = core.host.machine_id(),
  })
  if not state then return nil, err end
  self.state = state
  local log_dir = self.state_dir .. "/log"
  local made, reason = core.file.mkdir(log_dir, 448) -- 0700
  if not made then return nil, ("no folder for the output of applications: %s"):format(reason) end
  self.log_dir = log_dir
  self.history, reason = History.open({
    file = core.file, timer = core.timer, json = json, problems = self.problems, path = self.state_dir .. "/history",
  })
  return self.history and true, reason
end

--- What tasks may run here is the keeper's to hold: it must know before it is asked for anything.
-- @tparam ?table tasks the `Tasks` block
-- @treturn boolean|nil, string
function Agent:limit_tasks(tasks)
  return permit.write(self.core.file, self.state_dir, tasks, self.owner)
end

--- Leases count on the session and the assignment, which come with Consul.
local function open_lease(self)
  local core = self.core
  self.lease = Lease.new({
    timer = core.timer, log = core.log,
    keeper = function() return self.apps:keeper() end,
    renew_within = function(rhythm_ms) self.session:renew_within(rhythm_ms) end,
    confirm = function(callback) self.assignment:confirm(callback) end,
    on_change = function() self.apps:lease_changed() end,
  })
end

local function open_policy_source(self)
  local core = self.core
  self.policy_source = PolicySource.new({
    file = core.file, file_watch = core.file_watch, timer = core.timer, log = core.log, problems = self.problems,
    share_dir = core.runtime.share_dir,
    on_change = function()
      if self.leader then self.leader:reconfigure() end
    end,
  })
  local use_policies, err = self.policy_source:prepare(self.config.Policy)
  if not use_policies then return nil, ("%s: %s"):format(self.config.path, err) end
  use_policies()
  return true
end

local function new_turns(core)
  return Turns.new({ defer = core.loop.defer, now_ms = core.timer.now_ms })
end

local function build_apps(self)
  local core = self.core
  local schedule = Schedule.new({
    timer = core.timer, state = self.state, json = json, log = core.log, read_file = core.file.read,
    zone = Zone.own(os.getenv("TZ"), core.file.read),
  })
  local health = Health.new({
    timer = core.timer, random = math.random, log = core.log, now = clock.now,
    probe = Probe.new({ http = core.http, keeper = function() return self.apps:keeper() end }),
  })
  self.usage = Usage.new({ survey = core.survey, timer = core.timer })
  self.failing = Failing.new({
    timer = core.timer, now = clock.now, problems = self.problems,
    on_change = function()
      if self.membership then self.membership:update(self:live_fields()) end
    end,
  })
  self.apps = Apps.new({
    on_failure = function(task) self.failing:failed(task) end,
    schedule = schedule, health = health, turns = new_turns(core),
    json = json, codec = core.codec, log = core.log, problems = self.problems, clock = clock,
    usage = self.usage,
    node = self.node, log_dir = self.log_dir,
    inherited = launch.inherited(core.file.read("/proc/self/environ") or ""),
    owner = self.owner,
    history = self.history, lease = self.lease,
    on_change = function()
      if self.report then self.report:changed() end
    end,
  })
end

local function tidy_output(self)
  local core = self.core
  self.old_output = OldOutput.new({
    file = core.file, timer = core.timer, log = core.log, now = clock.now, log_dir = self.log_dir, turns = new_turns(core),
    names = function() return self.apps:names(self.config.Consul == nil) end,
  })
end

--- Brings the local applications into force: the configuration's, and what was said by hand.
local function apply_locals(self)
  self.apps:set_local(self.locals:list(), self.locals:held_names())
end

local function open_locals(self)
  self.locals = Locals.new({
    state = self.state, problems = self.problems, json = json,
    on_change = function()
      apply_locals(self)
      if self.membership then self.membership:update(self:live_fields()) end
    end,
  })
  self.locals:configure(self.config.Applications, self.config.path)
end

local function open_keeper(self)
  local apps = self.apps
  local keeper, err = self.core.process.open({
    keeper_path = self.core.runtime.keeper_path, state_dir = self.state_dir, awaits_keeper = self.awaits_keeper,
    on_ready = function(list, containment)
      apps:keeper_ready(list, containment)
      if self.is_ready then return end
      self.is_ready = true
      notify.tell(self.core, "READY=1")
    end,
    on_event = function(event) apps:keeper_event(event) end,
    on_lost = function(reason) apps:keeper_lost(reason) end,
    on_silent = function(pid) apps:keeper_silent(pid) end,
  })
  if not keeper then return nil, "the keeper cannot be used: " .. err end
  apps:connect(keeper)
  if not self.config.Consul then
    self.sampler = self.core.timer.every(SAMPLE_MS, function() apps:sample(function() end) end)
  end
  apply_locals(self)
  return true
end

local function open_control(self, path)
  local server, err = require("appmgr.control.server").new({ agent = self, core = self.core, path = path })
  if not server then return nil, ("control socket: %s; choose another with --socket"):format(err) end
  self.control = server
  return true
end

-- Parts that speak with Consul -----------------------------------------------

local function open_client(self)
  local core = self.core
  local client, err = require("appmgr.consul.client").new({
    http = core.http, timer = core.timer, log = core.log, codec = core.codec, json = json, file = core.file,
    config = self.config.Consul, environment = os.getenv,
  })
  if not client then return nil, err end
  self.client = client
  return true
end

--- This node's name is not its own for now: its keys are not written, and what is given to that name is not taken.
local function step_back(self)
  self.lease:left()
  self.report:stop()
  self.assignment:stop()
end

local function open_session(self)
  local core = self.core
  self.session = require("appmgr.node.session").new({
    client = self.client, timer = core.timer, log = core.log, problems = self.problems, random = math.random,
    state = self.state, host = core.host, config = self.config.Consul, node = self.node,
    on_renewed = function(sent_ms) self.lease:renewed(sent_ms) end,
    on_held = function(id)
      if id ~= self.own_session then self.assignment:session_had_ended() end
      self.cluster:session_held(id)
      self.membership:session_held(id)
    end,
    on_lost = function(reason)
      if self.election then self.election:session_lost(reason) end
      self.membership:session_lost(reason)
      self.cluster:session_lost(reason)
      step_back(self)
    end,
  })
end

local function open_cluster(self)
  local core = self.core
  self.cluster = require("appmgr.node.cluster").new({
    client = self.client, timer = core.timer, log = core.log, problems = self.problems, json = json, codec = core.codec,
    state = self.state, session = self.session, node = self.node,
    fallback_ms = self.config.Consul.topology_interval * 1000,
    on_adopted = function(id)
      if self.membership then self.membership:update({ cluster = id }) end
    end,
    on_settled = function()
      self.assignment:refresh()
      if self.leader then self.leader:start_over() end
    end,
  })
end

--- What the leader has to know of the rules for tasks: all of them, and who runs what names no user.
function Agent:task_rules()
  local tasks = self.config.Tasks
  if not tasks then return json.null end
  return { enabled = tasks.enabled, users = tasks.users, commands = tasks.commands, owner = self.owner }
end

--- What `live/<host>` says beside the node's identity.
function Agent:live_fields()
  local resource, names = self.core.host.resource(), {}
  for index, app in ipairs(self.locals:list()) do names[index] = app.name end
  table.sort(names)
  local fields = node_size.live_fields(self.config, self.locals:list())
  fields.reserved_ports = json.array(fields.reserved_ports)
  for name, value in pairs({
    hostname = self.core.host.hostname(), incarnation = self.state:get("incarnation"), version = self.version, cluster = self.cluster:id(),
    labels = self.config.Labels,
    capacity = { cpu = resource.cpu_processors * 1000, memory_mb = resource.mem_total_bytes // MIB },
    candidate = self.config.Consul.candidate, tasks = self:task_rules(), avoid = self.failing:list() or {},
    local_applications = json.array(names),
  }) do
    fields[name] = value
  end
  return fields
end

--- This node has its name to itself: it takes part.
local function joined(self)
  self.is_refused = false
  self.report:start()
  self.assignment:start()
  if not self.election then return end
  if self.election_started then return self.election:session_held() end
  self.election_started = true
  self.election:start()
end

--- Another agent has this node's name: what is this node's to do is not ours. What runs goes on, because nobody said
-- that it is to end.
local function refused(self, holder)
  self.is_refused = true
  if self.election then self.election:withdraw("the node's name is held by " .. holder) end
  step_back(self)
  self.apps:hold_replicas(("not started: the node's name is held by %s"):format(holder))
end

local function open_membership(self)
  local core = self.core
  self.membership = require("appmgr.node.membership").new({
    client = self.client, timer = core.timer, random = math.random, log = core.log, problems = self.problems,
    json = json, node = self.node, fields = self:live_fields(),
    fallback_ms = self.config.Consul.topology_interval * 1000,
    on_joined = function() joined(self) end,
    on_held = function() self.lease:joined() end,
    on_refused = function(holder) refused(self, holder) end,
    doubt_session = function() self.session:check() end,
  })
end

--- The leader takes this node for gone: whatever makes it look so (no session, no key among the live, another store) is
-- found out and put right now. Until the key is held again it counts its seconds as those of a node that is gone.
local function look_around(self)
  self.lease:left()
  self.session:check()
  self.membership:check()
  self.cluster:verify()
end

local function open_assignment(self)
  local core = self.core
  self.assignment = Assignment.new({
    client = self.client, watch = require("appmgr.consul.watch"), timer = core.timer, random = math.random,
    problems = self.problems, json = json, state = self.state, cluster = self.cluster,
    node = self.node, fallback_ms = self.config.Consul.topology_interval * 1000,
    on_assignment = function(list, decided)
      self.apps:set_replicas(list, decided)
      -- Also when no application changed: the leader may wait to hear that this assignment is known.
      self.report:changed()
    end,
    session = function() return self.session:id(), self.session:since() end,
    on_taken_for_gone = function() look_around(self) end,
  })
end

local function open_report(self)
  local core, started, load = self.core, clock.text(clock.now()), Load.new()
  self.report = Report.new({
    client = self.client, timer = core.timer, problems = self.problems, json = json, clock = clock, node = self.node,
    interval_ms = self.config.Consul.report_interval * 1000,
    session = function() return self.session:id() end,
    resource = function()
      local fields = core.host.resource()
      fields.pid, fields.appmgr_start_time = core.runtime.pid, started
      fields.load_percent = load:measure(fields)
      return fields
    end,
    rows = function() return self.apps:rows() end,
    acted_on = function() return self.assignment:acted_on() end,
    sample = function(callback) self.apps:sample(callback) end,
    doubt_session = function() self.session:check() end,
    on_written = function() self.session:renew_along(self.config.Consul.report_interval * 1000) end,
  })
end

--- Which policy this node places with when it leads.
local function open_policies(self)
  local core = self.core
  self.policies = require("appmgr.leader.policies").new({
    client = self.client, timer = core.timer, random = math.random, problems = self.problems, json = json,
    codec = core.codec, fallback_ms = self.config.Consul.topology_interval * 1000,
    configured = function() return self.policy_source.policy end,
    may_write = function() return self.election:is_leading() end,
    on_change = function() self.leader:reconfigure() end,
  })
end

local function open_election(self)
  if not self.config.Consul.candidate then return end
  local core = self.core
  open_policies(self)
  self.leader = require("appmgr.leader.leader").new({
    client = self.client, timer = core.timer, random = math.random, log = core.log, problems = self.problems,
    codec = core.codec, now = clock.now, planner = core.planner, cluster = self.cluster, session = self.session,
    node = self.node, fallback_ms = self.config.Consul.topology_interval * 1000,
    placement = function()
      local terms = { session_ttl = self.config.Consul.session_TTL, rebalance = self.config.Policy.rebalance }
      for name, value in pairs(self.config.Placement) do terms[name] = value end
      return terms
    end,
    policy = function() return self.policies:current() end, shadow = function() return self.policy_source.shadow end,
    may_write = function(term) return self.election:is_leading(term) end,
    on_refused = function() self.election:doubt() end,
    remember_tasks = function(body) self.state:save_tasks(body) end,
  })
  self.election = require("appmgr.leader.election").new({
    client = self.client, timer = core.timer, random = math.random, log = core.log, problems = self.problems,
    json = json, node = self.node, session = self.session,
    fallback_ms = self.config.Consul.topology_interval * 1000,
    on_elected = function(term)
      self.policies:start(function() self.leader:start(term) end)
    end,
    on_deposed = function()
      self.policies:stop()
      self.leader:stop()
    end,
  })
end

--- Uses what is remembered when Consul cannot say soon what is to run. Where it does answer, and this node is not among the
-- live, or somebody else has its name, or its session had ended, its slots may be others' by now: then only its assignment
-- tells.
local function recall_later(self)
  local function recall()
    if not self.is_ending and not self.is_refused then self.assignment:recall() end
  end
  self.own_session = self.session:last_id()
  self.assignment:restore()
  self.recall_timer = self.core.timer.after(RECALL_MS, recall)
  self.probe = self.client:get("live/" .. self.node, {}, function(answer, err)
    self.probe = nil
    if err then return recall() end
    local entries = answer.status == 200 and self.client.entries(answer.body) or {}
    local holder = entries[1] and entries[1].session
    if not holder or holder ~= self.own_session then self.recall_timer:cancel() end
  end)
end

local function open_consul(self)
  local opened, err = open_client(self)
  if not opened then return nil, err end
  open_session(self)
  open_cluster(self)
  open_assignment(self)
  open_report(self)
  open_membership(self)
  open_election(self)
  recall_later(self)
  self.session:start()
  return true
end

-- Reload ---------------------------------------------------------------------

local function restore_control(self)
  local there, err = self.control:restore()
  if there then return self.problems:clear("control") end
  self.problems:set("control", ("control socket: %s; no command reaches this agent; send SIGHUP again"):format(err))
end

--- Reads the configuration again; see node/reload.lua for what comes into force. A socket that was removed is made anew.
-- @treturn boolean|nil, string `nil, err` when the file is broken: all stays as it was
function Agent:reload()
  restore_control(self)
  local done, err = reload.apply(self)
  if not done then return nil, err end
  self.locals:configure(self.config.Applications, self.config.path)
  apply_locals(self)
  if self.membership then self.membership:update(self:live_fields()) end
  if self.leader then self.leader:reconfigure() end
  return true
end

-- Endings: node/ending.lua ----------------------------------------------------

function Agent:stop() ending.stop(self) end

function Agent:leave(callback) ending.leave(self, callback) end

-- Start ----------------------------------------------------------------------

--- Starts the agent of a node. The caller runs the loop afterwards; it returns when the agent has ended.
-- @tparam table options `config` (from appmgr.config.read), `node` (checked name), `state_dir`, `socket`, `core` (the
--   core modules by name)
-- @treturn ?Agent with `config`, `node`, `problems`, `state`, `locals`, `apps` and, with Consul, `client`, `session`, `cluster`,
--   `membership`, `assignment`, `report`, and of a candidate `election` and `leader`
-- @treturn ?string why not, with the next step
function M.start(options)
  local core = options.core
  core.log.set_level(options.config.LogLevel)
  core.log.set_name(options.node)
  local self = setmetatable({
    config = options.config, node = options.node, state_dir = options.state_dir, awaits_keeper = options.awaits_keeper, core = core,
    version = core.runtime.version, pid = core.runtime.pid, started_ms = core.timer.now_ms(),
    problems = Problems.new({ log = core.log, now = clock.now }),
  }, Agent)
  self.owner = user_name(core.file, (core.file.stat("/proc/self") or {}).uid or 0)
  local opened, err = open_policy_source(self)
  if opened then opened, err = open_state(self) end
  if opened then opened, err = self:limit_tasks(self.config.Tasks) end
  if not opened then return nil, err end
  if self.config.Consul then open_lease(self) end
  build_apps(self)
  open_locals(self)
  tidy_output(self)
  opened, err = open_control(self, options.socket)
  if opened then opened, err = open_keeper(self) end
  if opened and self.config.Consul then opened, err = open_consul(self) end
  if not opened then
    if self.control then self.control:close() end
    return nil, err
  end
  core.loop.on_signal("TERM", function() self:stop() end)
  core.loop.on_signal("INT", function() ending.interrupt(self) end)
  core.loop.on_signal("HUP", function() self:reload() end)
  core.log.info(('agent %s of node "%s" runs%s'):format(self.version, self.node,
    self.config.Consul and "" or "; it works without Consul, as its configuration has no Consul block"))
  return self
end

return M
