--- The agent's configuration document: read, checked, completed.
--
-- Keys keep the names they have in the file. All that is wrong is told at once,
-- one line each, with the place in the file where it can be found. Nothing is
-- ignored: an unknown key is an error that names the nearest known one. No
-- message repeats a value that may be a secret.
local application = require("appmgr.application")
local environment = require("appmgr.consul.environment")
local fields = require("appmgr.fields")
local json = require("appmgr.json")
local names = require("appmgr.names")
local node_size = require("appmgr.node_size")
local permits = require("appmgr.permits")
local rebalance_terms = require("appmgr.rebalance_terms")
local suggest = require("appmgr.suggest")

local M = {}

--- Where the configuration is when nobody says otherwise.
M.DEFAULT_PATH = "/etc/appmgr/appmgr.json"

local MAX_BYTES <const> = 16 * 1024 * 1024

local LOG_LEVELS = { "DEBUG", "INFO", "WARN", "ERROR" }

--- What is read again on SIGHUP; the rest needs a restart.
M.RELOADABLE = { "Applications", "Description", "Labels", "LogLevel", "Overcommit", "Placement", "Policy", "Reserve", "Resources", "Tasks" }

local function one_of(words)
  return function(value)
    for _, word in ipairs(words) do
      if value == word then return word end
    end
    if type(value) ~= "string" then return nil, "must be one of " .. table.concat(words, ", ") end
    local nearest = suggest.nearest(value, words)
    return nil, ('"%s" is none of %s%s'):format(value, table.concat(words, ", "),
      nearest and ('; did you mean "%s"?'):format(nearest) or "")
  end
end

local function read_boolean(value)
  if type(value) == "boolean" then return value end
  return nil, "must be true or false"
end

local function read_labels(value)
  if not fields.is_object(value) then return nil, "must be an object of names and strings" end
  local labels = {}
  for name, text in pairs(value) do
    local ok, reason = names.check_label(name)
    if not ok then return nil, reason end
    if math.type(text) or type(text) == "boolean" then text = tostring(text) end
    if type(text) ~= "string" then return nil, ("the value of %s must be a string"):format(name) end
    labels[name] = text
  end
  return labels
end

local function read_address(value)
  if type(value) ~= "string" or value == "" then return nil, "must be an address such as http://localhost:8500" end
  if value:find("//[^/]*@") then return nil, "must not hold a password: it would show in logs; use token" end
  local ok, reason = environment.parse_address(value, false)
  if not ok then return nil, reason end
  return value
end

local function read_addresses(value)
  if type(value) ~= "table" or #value == 0 then return nil, "must be an array of addresses that is not empty" end
  local list = {}
  for index, item in ipairs(value) do
    local address, reason = read_address(item)
    if not address then return nil, ("address %d %s"):format(index, reason) end
    list[index] = address
  end
  return list
end

local function read_prefix(value)
  local text = type(value) == "string" and value:gsub("^/+", ""):gsub("/+$", "") or ""
  if text == "" then return nil, "must be a folder of Consul's keys, such as \"appmgr\"" end
  for part in (text .. "/"):gmatch("(.-)/") do
    local ok, reason = names.check(part, "prefix")
    if not ok then return nil, reason end
  end
  return text
end

--- Consul takes at most 60 s; a number without a unit means seconds or nanoseconds there, so a unit is asked for.
local function read_lock_delay(value)
  local number, unit = tostring(value):match("^(%d+%.?%d*)(m?s)$")
  local seconds = number and tonumber(number) / (unit == "ms" and 1000 or 1)
  if not seconds or seconds > 60 then return nil, "must be a time up to \"60s\" with its unit, such as \"0s\"" end
  return value
end

local function read_name(what)
  return function(value)
    local ok, reason = names.check(value, what)
    if not ok then return nil, reason end
    return value
  end
end

local a_file = fields.text(4095)

local CONSUL = {
  fields = {
    url = read_address, urls = read_addresses,
    session_node = read_name("session_node"),
    session_TTL = fields.number(10, 86400),
    report_interval = fields.number(1, 86400),
    topology_interval = fields.number(1, 86400),
    token = fields.text(4096), token_file = a_file,
    ca_file = a_file, cert_file = a_file, key_file = a_file,
    tls_server_name = fields.text(255),
    verify = read_boolean,
    datacenter = read_name("datacenter"),
    prefix = read_prefix,
    lock_delay = read_lock_delay,
    candidate = read_boolean,
  },
}
local CONSUL_DEFAULTS = {
  session_TTL = 30, report_interval = 10, topology_interval = 5,
  prefix = "appmgr", lock_delay = "0s", candidate = true,
}

--- A reader of arrays of strings; an empty one is a list, too: it allows nothing.
local function list_of(what, check)
  return function(value)
    if type(value) ~= "table" or (#value == 0 and next(value)) then return nil, "must be an array of " .. what end
    for index, item in ipairs(value) do
      if type(item) ~= "string" or not check(item) then return nil, ("entry %d is none of %s"):format(index, what) end
    end
    return value
  end
end

local function is_user(text) return #text <= 256 and text:find("^[A-Za-z0-9_][A-Za-z0-9_.:-]*%$?$") ~= nil end
local function is_command(text) return #text <= 4095 and not text:find("[\0\n]") and permits.is_plain_path(text) end

local TASKS = {
  fields = {
    enabled = read_boolean,
    users = list_of("users, as tasks write them", is_user),
    commands = list_of("absolute paths in which * stands for what is between slashes", is_command),
  },
}
local TASKS_DEFAULTS = { enabled = true }

local function fill(values, defaults)
  for name, default in pairs(defaults) do
    if values[name] == nil then values[name] = default end
  end
  return values
end

--- A reader of an inner object with a schema of its own.
local function block(name, schema, defaults)
  return function(value, findings)
    if not fields.is_object(value) then return nil, "must be an object" end
    local values, found = fields.read(value, schema)
    fields.merge(findings, found, name .. ".")
    return fill(values, defaults)
  end
end

-- What a policy's options are called, and what they may be, the policy itself says.
local function read_options(value)
  if not fields.is_object(value) then return nil, "must be an object" end
  return value
end

local POLICY = {
  fields = {
    name = fields.text(4095), options = read_options, shadow = fields.text(4095),
    rebalance = block("rebalance", rebalance_terms.SCHEMA, rebalance_terms.DEFAULTS),
  },
}
local POLICY_DEFAULTS = { name = "spread" }

local PLACEMENT = {
  fields = {
    node_grace_seconds = fields.number(0, 86400),
    brake_share = fields.number(0, 1),
    starts_per_second = fields.integer(1, 1000000),
  },
}

local function read_applications(value, findings)
  if type(value) ~= "table" or (#value == 0 and next(value)) then return nil, "must be an array of applications" end
  local list, seen = {}, {}
  for index, document in ipairs(value) do
    local app, errors = application.read_local(document)
    local name = type(document) == "table" and type(document.name) == "string" and document.name
    local at = name and ('Applications "%s"'):format(name) or ("Applications[%d]"):format(index)
    for _, text in ipairs(errors or {}) do table.insert(findings.errors, at .. ": " .. text) end
    if app and seen[app.name] then table.insert(findings.errors, at .. ": the name is used twice") end
    if app then seen[app.name] = true end
    list[index] = app
  end
  return list
end

local DOCUMENT = {
  fields = {
    Description = fields.text(),
    LogLevel = one_of(LOG_LEVELS),
    Labels = read_labels,
    Applications = read_applications,
    Consul = block("Consul", CONSUL, CONSUL_DEFAULTS),
    Policy = block("Policy", POLICY, POLICY_DEFAULTS),
    Placement = block("Placement", PLACEMENT, {}),
    Tasks = block("Tasks", TASKS, TASKS_DEFAULTS),
  },
}

for name, reader in pairs(node_size.READERS) do DOCUMENT.fields[name] = reader end

--- Line and column of a byte of a text.
local function line_and_column(text, offset)
  local line, start = 1, 1
  for newline in text:gmatch("()\n") do
    if newline >= offset then break end
    line, start = line + 1, newline + 1
  end
  return line, math.max(1, offset - start + 1)
end

--- Where a key stands, when it stands in one place only.
local function place_of_key(text, key)
  local pattern = '"' .. key:gsub("%p", "%%%0") .. '"%s*:'
  local first = text:find(pattern)
  if not first or text:find(pattern, first + 1) then return "" end
  return (":%d:%d"):format(line_and_column(text, first))
end

--- Puts the file, and the place where it is certain, in front of each message.
local function located(path, text, errors)
  local list = {}
  for index, message in ipairs(errors) do
    local key = message:match("^([%w_.]+):")
    list[index] = ("%s%s: %s"):format(path, key and place_of_key(text, key:match("[^.]+$")) or "", message)
  end
  return table.concat(list, "\n")
end

--- A decoder's message as `file:line:column: reason`.
local function decode_error(path, message)
  local line, column, reason = message:match("^line (%d+), column (%d+): (.*)$")
  if line then return ("%s:%s:%s: no valid JSON: %s"):format(path, line, column, reason) end
  return ("%s: no valid JSON: %s"):format(path, message)
end

--- What the single fields cannot see.
local function check_together(config, errors)
  local consul = config.Consul or {}
  local function refuse(text) errors[#errors + 1] = "Consul: " .. text end
  if consul.token and consul.token_file then refuse("give token or token_file, not both") end
  if (consul.cert_file == nil) ~= (consul.key_file == nil) then refuse("cert_file and key_file need each other") end
end

--- Checks the text of a configuration.
-- @tparam string text JSON
-- @tparam string path what to call it in messages
-- @treturn ?table the configuration with defaults: `path`, `Description`, `LogLevel`, `Labels`, `Applications` (as of
--   application.read_local), `Consul` (nil without one; `url` only as written), `Policy` {`name`, `options`, `shadow`,
--   `rebalance` (nil without one; see appmgr.rebalance_terms)},
--   `Placement` {`node_grace_seconds`, `brake_share`, `starts_per_second`} (nil where nothing is said), `Tasks`
--   (nil without one; `enabled`, `users`, `commands`), and
--   as of node_size.lua, nil where they are not said, `Resources`, `Reserve`, `Overcommit`
-- @treturn ?string all that is wrong, one line each
function M.parse(text, path)
  local document, reason = json.decode(text)
  if document == nil then return nil, decode_error(path, reason or "it holds nothing but null") end
  if not fields.is_object(document) or json.is_array(document) then return nil, path .. ": must be a JSON object" end
  local name, line = json.duplicate(text)
  if name then
    return nil, ("%s:%d: \"%s\" stands twice in one object, and only one of them can count; remove the other"):format(path, line, name)
  end
  local config, findings = fields.read(document, DOCUMENT)
  local errors = fields.strict(findings)
  check_together(config, errors)
  if #errors > 0 then return nil, located(path, text, errors) end
  config.path = path
  fill(config, { LogLevel = "INFO" })
  config.Labels, config.Applications = config.Labels or {}, config.Applications or {}
  config.Policy = config.Policy or fill({}, POLICY_DEFAULTS)
  config.Placement = config.Placement or {}
  return config
end

--- Reads and checks a configuration file.
-- @tparam table file core.file
-- @tparam string path
-- @treturn ?table the configuration, see `parse`
-- @treturn ?string what is wrong and what to do
function M.read(file, path)
  local text, err = file.read(path, MAX_BYTES)
  if not text then
    return nil, ("cannot read the configuration: %s; name another file (agent --config FILE, config check FILE)"):format(err)
  end
  return M.parse(text, path)
end

--- Names of the policies that are installed.
local function installed(file, folder)
  local list = {}
  for _, entry in ipairs(file.list(folder) or {}) do
    list[#list + 1] = entry:match("^(.+)%.lua$")
  end
  return list
end

--- Finds the file of a policy and reads it.
-- @tparam table policy the `Policy` block: a name without a slash is looked for among the installed ones
-- @tparam table file core.file
-- @tparam string share_dir
-- @treturn ?table {name, path, source, options}
-- @treturn ?string why not
function M.load_policy(policy, file, share_dir)
  local name, folder = policy.name, share_dir .. "/policies"
  local is_path = name:find("/", 1, true) ~= nil
  local path = is_path and name or ("%s/%s.lua"):format(folder, name)
  local source, err = file.read(path, MAX_BYTES)
  if source then
    return { name = name:match("([^/]+)%.lua$") or name, path = path, source = source, options = policy.options }
  end
  if is_path then return nil, ("Policy: %s"):format(err) end
  return nil, ('Policy: there is no policy "%s" in %s (a file elsewhere is named by a path with a slash); %s'):format(name,
    folder, suggest.hint(name, installed(file, folder)))
end

--- Reads all that a `Policy` block names.
-- @tparam table named the block
-- @tparam table file core.file
-- @tparam string share_dir
-- @treturn[1] table `policy`, and `shadow` where there is one; see load_policy
-- @treturn[2] nil
-- @treturn[2] string why one of them cannot be read
function M.load_policies(named, file, share_dir)
  local policy, err = M.load_policy(named, file, share_dir)
  if not policy then return nil, err end
  if not named.shadow then return { policy = policy } end
  local shadow, shadow_error = M.load_policy({ name = named.shadow }, file, share_dir)
  if not shadow then return nil, "shadow: " .. shadow_error end
  return { policy = policy, shadow = shadow }
end

return M
