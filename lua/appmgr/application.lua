--- The application document: what a process is and how it is kept running.
--
-- The same document stands in the configuration's `Applications` and as the
-- `content` of a task. Reading it never changes it: the text that an operator
-- wrote is what gets hashed and stored as a version.
local amounts = require("appmgr.amounts")
local capabilities = require("appmgr.capabilities")
local command = require("appmgr.command")
local fields = require("appmgr.fields")
local life_fields = require("appmgr.life_fields")
local names = require("appmgr.names")
local output_fields = require("appmgr.output_fields")
local resource_limit = require("appmgr.resource_limit")
local when_fields = require("appmgr.when.fields")

local M = {}

--- Fields whose change needs a new process; all others apply in place.
M.PROCESS_FIELDS = {
  "command", "user", "working_dir", "env", "nice", "umask", "limits", "no_new_privs", "capabilities", "init_command",
  "init_timeout", "fini_command", "fini_timeout", "ready_fd", "restarted_at",
}

local DEFAULTS = {
  status = 1,
  cache_lines = 20,
  stop_signal = 15,
  stop_timeout = 10,
}

local RESTART_DEFAULTS = { interval_seconds = 60, delay_seconds = 1, max_delay_seconds = 60 }

local SIGNALS = {
  HUP = 1, INT = 2, QUIT = 3, ABRT = 6, KILL = 9, USR1 = 10, USR2 = 12, ALRM = 14, TERM = 15,
  CONT = 18, STOP = 19, WINCH = 28, PWR = 30,
}

local plain_text = fields.text()

-- Values of env are secrets as a rule: no message repeats one.
local function read_env(value)
  if not fields.is_object(value) then
    return nil, "must be an object of names and strings"
  end
  local env = {}
  for name, content in pairs(value) do
    if type(name) ~= "string" or not name:find("^[A-Za-z_][A-Za-z0-9_]*$") then
      local shown = tostring(name):gsub("=.*", "=…")
      return nil, ("%q is no name of an environment variable"):format(shown)
    end
    if math.type(content) == "integer" then content = tostring(content) end
    local text, reason = plain_text(content)
    if not text then
      return nil, ("the value of %s %s"):format(name, reason)
    end
    env[name] = text
  end
  return env
end

local function read_signal(value)
  local number = math.type(value) and math.tointeger(value)
  if type(value) == "string" then
    number = SIGNALS[(value:upper():gsub("^SIG", ""))]
  end
  if not number or number < 1 or number > 64 then
    return nil, "must be a signal: a name such as \"TERM\" or \"SIGINT\", or a number from 1 to 64"
  end
  return number
end

local RESTART_SCHEMA = {
  fields = {
    attempts = fields.integer(0, 1000000),
    interval_seconds = fields.number(0.001, 31536000),
    delay_seconds = fields.number(0, 86400),
    max_delay_seconds = fields.number(0, 86400),
  },
}

local function read_restart(value, findings)
  if not fields.is_object(value) then
    return nil, "must be an object"
  end
  local restart, found = fields.read(value, RESTART_SCHEMA)
  fields.merge(findings, found, "restart.")
  return restart
end

local function read_working_dir(value)
  local text, reason = fields.text(4095)(value)
  if text and text:sub(1, 1) ~= "/" then
    return nil, "must be an absolute path"
  end
  return text, reason
end

-- JSON knows no octal numbers: as a string it reads as it does everywhere else.
local function read_umask(value)
  if type(value) ~= "string" or not value:find("^0?[0-7][0-7]?[0-7]?$") then
    return nil, "must be a string of octal digits from \"000\" to \"777\", such as \"027\""
  end
  return tonumber(value, 8)
end

local LIMITS_SCHEMA = { fields = { open_files = fields.integer(3, 1 << 30) } }

local function read_limits(value, findings)
  if not fields.is_object(value) then
    return nil, "must be an object"
  end
  local limits, found = fields.read(value, LIMITS_SCHEMA)
  fields.merge(findings, found, "limits.")
  return limits
end

local function read_boolean(value)
  if type(value) ~= "boolean" then
    return nil, "must be true or false"
  end
  return value
end

local function read_user(value)
  local is_user = type(value) == "string" and #value <= 256
    and (value:find("^[A-Za-z0-9_][A-Za-z0-9_.-]*%$?$") or value:find("^%d+:%d+$"))
  if not is_user then return nil, "must be the name of a user, a number, or uid:gid as two numbers" end
  return value
end

local function read_name(value)
  local ok, reason = names.check(value)
  return ok and value or nil, reason
end

local SCHEMA = {
  fields = {
    name = read_name,
    command = command.read,
    user = read_user,
    working_dir = read_working_dir,
    env = read_env,
    status = fields.integer(0, 1),
    cache_lines = fields.integer(0, 10000),
    stop_signal = read_signal,
    stop_timeout = fields.number(0, 86400),
    reload_signal = read_signal,
    restarted_at = fields.text(64),
    restart = read_restart,
    nice = fields.integer(-20, 19),
    umask = read_umask,
    limits = read_limits,
    no_new_privs = read_boolean,
    capabilities = capabilities.read,
    resource_limit = resource_limit.read,
    output = output_fields.read,
    resources = amounts.read,
    comments = fields.text(),
    description = fields.text(),
  },
}
for _, readers in ipairs({ when_fields.READERS, life_fields.READERS }) do
  for name, reader in pairs(readers) do SCHEMA.fields[name] = reader end
end

local function with_defaults(values, defaults)
  for name, default in pairs(defaults) do
    if values[name] == nil then values[name] = default end
  end
  return values
end

--- What to say of a field that is not there, see fields.instead.
-- @tparam table document
-- @tparam string name
-- @tparam ?string what
-- @treturn ?string
function M.instead(document, name, what)
  return fields.instead(document, SCHEMA, name, what)
end

--- Reads an application document.
-- @param document a decoded JSON value
-- @treturn ?table the application, nil when there are errors: `name` (nil when
--   the document has none), `command` as written, `argv` to execute, `user`,
--   `working_dir`, `env` (table, maybe empty), `status` 0 or 1, `cache_lines`,
--   `stop_signal` (number), `stop_timeout` (s), `restart` (`attempts` or nil,
--   `interval_seconds`, `delay_seconds`, `max_delay_seconds`), `nice`,
--   `umask` (number), `limits` (`open_files`; nil when it sets none), `no_new_privs` (true or nil), `capabilities` (names),
--   `resource_limit` (limits by name; nil when it sets none), `output` (as written, see output_fields.lua), `resources` (what it
--   uses, by name; nil when it does not say), `comments`, `description`, `reload_signal` (number), what
--   life_fields.complete adds, the fields that say when it runs as written, and `when`, the plan they come to (see
--   when/fields.lua; nil when it simply runs)
-- @treturn fields.Findings errors, warnings and fields not honoured
function M.read(document)
  if type(document) ~= "table" or #document > 0 then
    local findings = fields.findings()
    findings.errors[1] = "must be an object"
    return nil, findings
  end
  local application, findings = fields.read(document, SCHEMA)
  if document.command == nil then
    table.insert(findings.errors, "command: is missing; " .. M.instead(document, "command", "it says what to run"))
  end
  if #findings.errors == 0 then
    findings.errors, application.when = when_fields.plan(application)
    for _, text in ipairs(life_fields.contradictions(application)) do table.insert(findings.errors, text) end
  end
  if #findings.errors > 0 then
    return nil, findings
  end
  with_defaults(application, DEFAULTS)
  application.env = application.env or {}
  application.restart = with_defaults(application.restart or {}, RESTART_DEFAULTS)
  application.argv = command.argv(application.command)
  life_fields.complete(application)
  -- What says nothing is absent: no new process because it was written out.
  if application.limits and not next(application.limits) then application.limits = nil end
  application.no_new_privs = application.no_new_privs or nil
  if application.resource_limit and not next(application.resource_limit) then application.resource_limit = nil end
  return application, findings
end

--- Reads an application of the configuration: a name is needed, and nothing may be ignored.
-- @param document a decoded JSON value
-- @treturn[1] table the application, see `read`
-- @treturn[2] nil
-- @treturn[2] {string,...} errors
function M.read_local(document)
  local application, findings = M.read(document)
  local errors = fields.strict(findings)
  if application and not application.name then
    local near = M.instead(document, "name")
    table.insert(errors, 1, "name: is missing" .. (near and "; " .. near or ""))
  end
  if #errors > 0 then
    return nil, errors
  end
  return application
end

local function hash(value, json, codec)
  return codec.sha256(json.encode(value)):sub(1, 16)
end

--- The version of a document: the same for every order of its keys.
-- @param document decoded JSON, as the operator wrote it
-- @tparam table json appmgr.json (its encode is canonical)
-- @tparam table codec core.codec
-- @treturn string 16 hexadecimal digits
function M.version(document, json, codec)
  return hash(document, json, codec)
end

--- A hash over what needs a new process when it changes.
-- @tparam table application from `read`
-- @tparam table json appmgr.json
-- @tparam table codec core.codec
-- @treturn string 16 hexadecimal digits
function M.process_hash(application, json, codec)
  local relevant = {}
  for _, name in ipairs(M.PROCESS_FIELDS) do
    relevant[name] = application[name]
  end
  relevant.command = application.argv
  relevant.init_command, relevant.fini_command = application.init_argv, application.fini_argv
  -- An empty table has no type of its own in JSON; absent is unambiguous.
  if not next(application.env) then relevant.env = nil end
  return hash(relevant, json, codec)
end

return M
