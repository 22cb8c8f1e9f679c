--- From an application's document to what the keeper is asked to run.
--
-- A definition is a value: it is made once from a document and never changed;
-- two definitions are compared by `hash` (needs a new process) and `tag` (needs
-- to be told to the keeper). What the keeper is sent is made when it is sent: a
-- node has thousands of applications, and each environment takes kilobytes.
local application = require("appmgr.application")
local capabilities = require("appmgr.capabilities")
local output_fields = require("appmgr.output_fields")
local port_name = require("appmgr.port_name")
local resource_limit = require("appmgr.resource_limit")

local M = {}

--- What an agent's environment holds for the agent alone: the way to systemd, and secrets.
local PRIVATE = {
  NOTIFY_SOCKET = true, WATCHDOG_PID = true, WATCHDOG_USEC = true,
  LISTEN_FDS = true, LISTEN_PID = true, LISTEN_FDNAMES = true,
  CONSUL_HTTP_TOKEN = true, CONSUL_HTTP_TOKEN_FILE = true, CONSUL_HTTP_AUTH = true,
  CONSUL_CLIENT_CERT = true, CONSUL_CLIENT_KEY = true,
}

local MS <const> = 1000

-- What an agent that is itself an application was given is not its applications'.
local function is_inherited(name)
  return not PRIVATE[name] and not name:find("^APPMGR_")
end

--- The variables of an environment block (as in /proc/self/environ) that applications may inherit.
-- @tparam string block `K=V` separated by NUL
-- @treturn {table,...} each `name` and `entry` (`K=V`), by name, so that all get them in the same order
function M.inherited(block)
  local list = {}
  for entry in block:gmatch("[^%z]+") do
    local name = entry:match("^([^=]+)=")
    if name and is_inherited(name) then list[#list + 1] = { name = name, entry = entry } end
  end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- The instance id the keeper knows an application by. It depends on nothing but what the
-- application is on this node, so that it is the same after every restart, and a slot that comes
-- back while its old process still ends cannot run twice.
-- @tparam table codec core.codec
-- @tparam string node this node's name
-- @tparam table identity `kind` and `name`, or `kind`, `task` and `slot`
-- @treturn string in the form of a UUID (version 8: made by its own rule)
function M.id(codec, node, identity)
  local parts = { node, identity.kind, identity.task or identity.name, identity.slot or "" }
  local hex = codec.sha256(table.concat(parts, "\0"))
  return ("%s-%s-8%s-a%s-%s"):format(hex:sub(1, 8), hex:sub(9, 12), hex:sub(14, 16), hex:sub(18, 20), hex:sub(21, 32))
end

--- The task's other slots and where they are: `instance=host` with commas between.
local function peers_text(task, peers)
  local list = {}
  for slot in pairs(peers) do list[#list + 1] = slot end
  table.sort(list, function(a, b) return tonumber(a) < tonumber(b) end)
  for index, slot in ipairs(list) do list[index] = ("%s.%s=%s"):format(task, slot, peers[slot]) end
  return table.concat(list, ",")
end

--- What an application has beside, or instead of, what it inherits.
-- @treturn table name → value
local function own_environment(app, identity, node)
  local own = {}
  for name, value in pairs(app.env) do own[name] = value end
  own.APPMGR_NODE = node
  if identity.task then
    own.APPMGR_TASK = identity.task
    own.APPMGR_SLOT = tostring(identity.slot)
    own.APPMGR_INSTANCE = ("%s.%d"):format(identity.task, identity.slot)
    own.APPMGR_FENCE = identity.fence and tostring(identity.fence)
    own.APPMGR_PEERS = identity.peers and peers_text(identity.task, identity.peers)
  end
  for name, number in pairs(identity.ports or {}) do own[port_name.variable(name)] = tostring(number) end
  return own
end

local function environment_list(inherited, own)
  local list, names = {}, {}
  for _, variable in ipairs(inherited) do
    if not own[variable.name] then list[#list + 1] = variable.entry end
  end
  for name in pairs(own) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = name .. "=" .. own[name] end
  return list
end

-- At least 1 ms where the keeper would take 0 for its default.
local function restart_rule(app)
  local restart = app.restart
  return {
    -- A short run begins at its times, and never because the last one ended.
    enabled = restart.attempts ~= 0 and not (app.when and app.when.kind == "short"),
    attempts = restart.attempts,
    interval_ms = math.floor(restart.interval_seconds * MS),
    delay_ms = math.max(1, math.floor(restart.delay_seconds * MS)),
    max_delay_ms = math.max(1, math.floor(restart.max_delay_seconds * MS)),
  }
end

--- What applies in place.
local function terms_of(app)
  local output = output_fields.terms(app.output)
  return {
    max_output_bytes = output.max_bytes, output_files = output.files, output_waits = output.waits,
    stop_signal = app.stop_signal,
    stop_timeout_ms = math.floor(app.stop_timeout * MS),
    restart = restart_rule(app),
    lease_ms = app.stop_after_seconds and app.stop_after_seconds * MS or nil,
    limits = resource_limit.for_keeper(app.resource_limit),
  }
end

--- That as one short text: a change of it must reach the keeper.
local function settings_of(terms)
  local restart = terms.restart
  local text = ("%d/%d/%s/%d/%d/%d/%d/%d/%s"):format(terms.stop_signal, terms.stop_timeout_ms, restart.attempts or "-",
    restart.interval_ms, restart.delay_ms, restart.max_delay_ms, terms.max_output_bytes, terms.output_files,
    terms.output_waits and "block" or "drop")
  if terms.lease_ms then text = text .. "/" .. terms.lease_ms end
  local limits = resource_limit.fingerprint(terms.limits)
  return limits ~= "" and text .. "/" .. limits or text
end

--- Whether two replicas have the same ports.
-- @tparam ?table a name → number
-- @tparam ?table b
-- @treturn boolean
function M.same_ports(a, b)
  a, b = a or {}, b or {}
  for name, number in pairs(a) do
    if b[name] ~= number then return false end
  end
  for name in pairs(b) do
    if not a[name] then return false end
  end
  return true
end

--- The hash of what needs a new process. Where there are no ports it is that of the document alone.
local function hash_of(app, ports, context)
  local hash = application.process_hash(app, context.json, context.codec)
  if not ports or not next(ports) then return hash end
  return context.codec.sha256(hash .. context.json.encode(ports)):sub(1, #hash)
end

local function tag_of(definition)
  return definition.context.json.encode({
    kind = definition.kind, name = definition.name, task = definition.task, slot = definition.slot,
    version = definition.version, hash = definition.hash, settings = settings_of(terms_of(definition.application)),
    run = definition.run, ready = definition.ready,
  })
end

local Definition = {}
Definition.__index = Definition

--- Makes a definition.
-- @tparam table app from application.read
-- @tparam table identity `id`, `kind` ("local" or "replica"), `name` (as shown), and of a replica `task`, `slot`,
--   `version`, `fence`, `ports` (name → number; nil without any), `peers` (slot → host; nil where none are asked for)
-- @tparam table context `json`, `codec`, `node`, `inherited` (from `inherited`), `log_dir`; borrowed
-- @treturn table `application` (borrowed), `version`, `fence`, `ports`, `peers`, `ready` (as the document says), `hash`,
--   `tag`, and the method `spawn`
function M.definition(app, identity, context)
  local definition = setmetatable({
    application = app, context = context, id = identity.id, kind = identity.kind, name = identity.name,
    task = identity.task, slot = identity.slot, version = identity.version, fence = identity.fence,
    ports = identity.ports, peers = identity.peers, ready = app.ready,
    hash = hash_of(app, identity.ports, context),
  }, Definition)
  definition.tag = tag_of(definition)
  return definition
end

--- What the keeper's client is given to start it, or to change what applies in place.
-- @treturn table a new one
function Definition:spawn()
  local app, context, spawn = self.application, self.context, terms_of(self.application)
  spawn.id, spawn.tag, spawn.is_local = self.id, self.tag, self.kind == "local"
  spawn.argv = app.argv
  spawn.env = environment_list(context.inherited, own_environment(app, self, context.node))
  spawn.working_dir = app.working_dir or "/"
  spawn.user = app.user
  spawn.nice = app.nice
  spawn.umask = app.umask
  spawn.open_files = app.limits and app.limits.open_files
  spawn.no_new_privs = app.no_new_privs
  spawn.init_argv, spawn.fini_argv = app.init_argv, app.fini_argv
  spawn.init_timeout_ms = app.init_timeout and math.ceil(app.init_timeout * MS)
  spawn.fini_timeout_ms = app.fini_timeout and math.ceil(app.fini_timeout * MS)
  spawn.ready_fd = app.ready_fd
  spawn.capabilities = app.capabilities and capabilities.mask(app.capabilities)
  spawn.output_path = M.output_path(context.log_dir, self.name)
  return spawn
end

--- The same definition for one run of an application that has several.
-- @tparam table definition
-- @tparam integer run which one; another number needs a new process
-- @treturn table a definition with `run`
function M.for_run(definition, run)
  local made = setmetatable({}, Definition)
  for name, value in pairs(definition) do made[name] = value end
  made.run = run
  made.tag = tag_of(made)
  return made
end

--- What a check has none of, of all that is the application's: it is one run, and nobody looks at what it writes.
local NOT_OF_A_CHECK = {
  "tag", "restart", "lease_ms", "output_path", "ready_fd", "init_argv", "init_timeout_ms", "fini_argv", "fini_timeout_ms",
}

--- The spawn of a health check's command: as the application is run, with all that limits it, but once and briefly. The
-- keeper runs it, so that an agent that dies leaves nothing running that nobody would end.
-- @tparam table definition of an application whose check is a command
-- @treturn table for the keeper's client
function M.check_spawn(definition)
  local spawn, check = definition:spawn(), definition.application.check
  for _, name in ipairs(NOT_OF_A_CHECK) do spawn[name] = nil end
  spawn.id, spawn.argv, spawn.run_timeout_ms = M.check_id(spawn.id), check.argv, check.timeout_ms
  spawn.stop_signal, spawn.stop_timeout_ms = 9, 0
  return spawn
end

--- The instance id of an application's check.
-- @tparam string id the application's
function M.check_id(id)
  return id .. ".check"
end

--- Whether what the keeper holds is a check.
-- @tparam string id as the keeper names it
-- @treturn ?string the application's id
function M.checked_id(id)
  return id:match("^(.*)%.check$")
end

--- Where an application's output goes.
-- @tparam string log_dir
-- @tparam string name as shown
-- @treturn string
function M.output_path(log_dir, name)
  return ("%s/%s.log"):format(log_dir, name)
end

--- Reads a tag that the keeper kept.
-- @tparam string text
-- @tparam table json
-- @treturn ?table {kind, name, task, slot, version, hash, run}; nil when it is none of ours
function M.read_tag(text, json)
  local tag = type(text) == "string" and json.decode(text)
  if type(tag) ~= "table" or type(tag.name) ~= "string" or type(tag.hash) ~= "string" then return nil end
  tag.run = math.type(tag.run) == "integer" and tag.run or nil
  if tag.kind == "local" then return tag end
  if tag.kind == "replica" and type(tag.task) == "string" and math.type(tag.slot) == "integer" then return tag end
  return nil
end

return M
