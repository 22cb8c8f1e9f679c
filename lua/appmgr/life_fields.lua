--- The fields of an application that say what belongs to a run beside its command: what comes before and after it,
-- when it counts as started, and how it is seen that it is well. Read and checked together.
local command = require("appmgr.command")
local fields = require("appmgr.fields")

local M = {}

local DAY_S <const> = 86400
local MS <const> = 1000

local INIT_TIMEOUT_S <const> = 60
local FINI_TIMEOUT_S <const> = 60
local READY_TIMEOUT_S <const> = 60
local READY_FD <const> = 3

local CHECK_DEFAULTS = {
  interval_seconds = 10, timeout_seconds = 5, healthy_threshold = 1, unhealthy_threshold = 3, restart = false,
}

local function read_boolean(value)
  if type(value) ~= "boolean" then return nil, "must be true or false" end
  return value
end

--- With a number in the place of each port that a replica will be given.
local function with_ports(text)
  return (text:gsub("%${APPMGR_PORT_[A-Z0-9_]+}", "1"))
end

local function read_url(value)
  local text, reason = fields.text(4096)(value)
  if not text then return nil, reason end
  local filled = with_ports(text)
  if not filled:find("^https?://[^/%s]+%S*$") then
    return nil, 'must be a URL such as "http://127.0.0.1:8080/health"'
  end
  if filled:find("${", 1, true) then return nil, "may hold the variables of ports only, such as ${APPMGR_PORT_HTTP}" end
  return text
end

-- A name or an address, in brackets when it holds colons itself.
local function read_address(value)
  if math.type(value) == "integer" then value = ("127.0.0.1:%d"):format(value) end
  local text = type(value) == "string" and #value < 300 and with_ports(value) or ""
  local port = text:match("^%[[%x:.]+%]:(%d+)$") or text:match("^[%w._-]+:(%d+)$")
  port = port and math.tointeger(tonumber(port))
  if not port or port < 1 or port > 65535 then
    return nil, 'must be a port of this node, or "host:port", where the port may be one such as ${APPMGR_PORT_HTTP}'
  end
  return value
end

local CHECK_SCHEMA = {
  fields = {
    cmd = command.read,
    http = read_url,
    tcp = read_address,
    interval_seconds = fields.number(0.1, DAY_S),
    timeout_seconds = fields.number(0.01, DAY_S),
    healthy_threshold = fields.integer(1, 1000),
    unhealthy_threshold = fields.integer(1, 1000),
    restart = read_boolean,
  },
}

local function read_check(value, findings)
  if not fields.is_object(value) then
    return nil, "must be an object with one of cmd, http and tcp"
  end
  local check, found = fields.read(value, CHECK_SCHEMA)
  fields.merge(findings, found, "health_check.")
  return check
end

local function read_ready(value)
  if value == "fd" or value == "health" then return value end
  return nil, 'must be "fd" (it says so itself) or "health" (its first healthy check does)'
end

--- The readers, for the schema of an application.
M.READERS = {
  init_command = command.read,
  init_timeout = fields.number(0.01, DAY_S),
  fini_command = command.read,
  fini_timeout = fields.number(0.01, DAY_S),
  ready = read_ready,
  ready_fd = fields.integer(3, 1023),
  ready_timeout = fields.number(0.01, DAY_S),
  health_check = read_check,
  health_check_cmd = command.read,
}

--- How many ways to look there are; one is enough.
local function ways_of(app)
  local check, count = app.health_check or {}, app.health_check_cmd and 1 or 0
  for _, name in ipairs({ "cmd", "http", "tcp" }) do
    if check[name] then count = count + 1 end
  end
  return count
end

local function is_short(app)
  return (app.start_interval_seconds or app.schedule) and not app.keep_running
end

--- What two fields say together that no one can do, and what says nothing alone.
-- @tparam table app normalised values by field name
-- @treturn {string,...} errors
function M.contradictions(app)
  local list = {}
  local function add(condition, text)
    if condition then list[#list + 1] = text end
  end
  local ways = ways_of(app)
  add(app.init_timeout and not app.init_command, "init_timeout: there is no init_command that it could apply to")
  add(app.fini_timeout and not app.fini_command, "fini_timeout: there is no fini_command that it could apply to")
  add(app.ready_fd and app.ready ~= "fd", 'ready_fd: needs "ready": "fd"')
  add(app.ready_timeout and not app.ready, "ready_timeout: needs ready")
  add(app.ready == "health" and ways == 0, "ready: \"health\" needs health_check or health_check_cmd")
  add(app.ready and is_short(app), "ready: nothing waits for a short run; remove it")
  add(app.health_check and ways == 0, "health_check: says not what to look at; needs one of cmd, http and tcp")
  add(ways > 1, "health_check: one of cmd, http, tcp and health_check_cmd is enough")
  return list
end

local function check_of(app)
  if ways_of(app) == 0 then return nil end
  local check = {}
  for name, default in pairs(CHECK_DEFAULTS) do check[name] = default end
  for name, value in pairs(app.health_check or {}) do check[name] = value end
  check.cmd = check.cmd or app.health_check_cmd
  return {
    argv = check.cmd and command.argv(check.cmd), url = check.http,
    address = check.tcp,
    interval_ms = math.ceil(check.interval_seconds * MS), timeout_ms = math.ceil(check.timeout_seconds * MS),
    healthy_threshold = check.healthy_threshold, unhealthy_threshold = check.unhealthy_threshold,
    restart = check.restart,
  }
end

--- Puts defaults and what the fields come to into an application that was read without contradictions.
-- @tparam table app is given `init_argv`, `fini_argv`, their timeouts, `ready_fd`, `ready_timeout` (s) where they
--   apply, and `check`: {`argv`, `url` or `address`; `interval_ms`, `timeout_ms`, `healthy_threshold`,
--   `unhealthy_threshold`, `restart`}
function M.complete(app)
  for _, name in ipairs({ "init", "fini" }) do
    local written = app[name .. "_command"]
    app[name .. "_argv"] = written and command.argv(written)
  end
  if app.init_command then app.init_timeout = app.init_timeout or INIT_TIMEOUT_S end
  if app.fini_command then app.fini_timeout = app.fini_timeout or FINI_TIMEOUT_S end
  if app.ready then app.ready_timeout = app.ready_timeout or READY_TIMEOUT_S end
  if app.ready == "fd" then app.ready_fd = app.ready_fd or READY_FD end
  app.check = check_of(app)
end

return M
