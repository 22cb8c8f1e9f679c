--- One application as the status key and `appmgr app ls` show it.
local launch = require("appmgr.node.launch")
local output_trouble = require("appmgr.node.output_trouble")
local resource_limit = require("appmgr.resource_limit")

local M = {}

local ENDED = { backoff = true, failed = true }
local SHOWN_STATE = { replacing = "stopping" }

--- What the row says in `state`: the machine's state, and for an idle one why it is idle.
local function state_of(app, is_waiting)
  if is_waiting then return "waiting" end
  if app.phase then return app.phase end
  if app:is_getting_ready() then return "starting" end
  if app.state ~= "idle" then return SHOWN_STATE[app.state] or app.state end
  if app.blocked then return "blocked" end
  return app.mode == "run" and "starting" or "disabled"
end

--- Whether nothing of it runs because its time has not come.
local function is_waiting_for_time(app)
  return app.is_waiting and not app.blocked and (app.state == "idle" or app.state == "failed")
end

--- Waiting is well, unless the last run was not.
local function health_of(app, is_waiting)
  if not is_waiting then
    if app.state ~= "running" or app:is_getting_ready() or app.health == "unhealthy" then return 1 end
    local document = app:document()
    return app.health == "unknown" and document and document.check and 1 or 0
  end
  if app.state == "idle" then return 0 end
  return not app.error and app.last_exit and app.last_exit.code == 0 and 0 or 1
end

--- The exit code as shells count it: 128 and the signal for one that was killed; nil where nobody saw the end.
local function return_code(last_exit)
  if not last_exit then return nil end
  return last_exit.code or (last_exit.signal and 128 + last_exit.signal)
end

--- What an init or fini command that ran may have written says more than how it ended.
local function with_place_to_look(app)
  local how = app.error:match("^%a+_command: (%a+)")
  if how ~= "exited" and how ~= "ended" and how ~= "did" then return app.error end
  return ('%s; "appmgr app logs %s" shows what it wrote'):format(app.error, app.name)
end

local function out_of_memory(app)
  local limit = app.shown and app.shown.application.resource_limit
  return limit and limit.memory_mb and ("out of memory: killed by the kernel at its limit of %d MB"):format(limit.memory_mb)
    or "out of memory: killed by the kernel"
end

--- With how it ended last, where that was seen, and what starts it again.
local function gave_up_text(app)
  local exit = app.last_exit or {}
  local how = exit.out_of_memory and ", the last time as it was out of memory"
    or exit.signal and (", the last time by signal %d"):format(exit.signal)
    or exit.code and (", the last time with exit code %d"):format(exit.code) or ""
  return ('it ended too often%s, and is not started again; "appmgr app restart %s" starts it'):format(how, app.name)
end

local function error_of(app)
  if app.blocked then return app.blocked end
  if app.error then return with_place_to_look(app) end
  if app.health == "unhealthy" then return app.health_error end
  if app.state == "gave_up" then return gave_up_text(app) end
  local exit = ENDED[app.state] and app.last_exit
  if exit and exit.out_of_memory then return out_of_memory(app) end
  if exit and exit.signal then return ("ended by signal %d"):format(exit.signal) end
  if exit and not exit.code then return "ended, exit code unknown: no keeper was there to see it" end
  return nil
end

-- Values of env are secrets as a rule: only the names are shown.
local function hidden_env(env)
  if not env or not next(env) then return nil end
  local shown = {}
  for name in pairs(env) do shown[name] = "(hidden)" end
  return shown
end

local function command_text(command)
  return type(command) == "table" and table.concat(command, " ") or command
end

--- @tparam App app
-- @tparam table context `clock`, `owner` (name of the user who runs what names no user)
-- @treturn table the row, a new table
function M.of(app, context)
  local is_waiting = is_waiting_for_time(app)
  local kept = not is_waiting and app.kept -- what ended is no longer what counts
  local definition = kept and kept.definition or app.shown
  local document = definition and definition.application or {}
  local text = context.clock.text
  local next_start = app.next_start_at or app.next_time
  return {
    id = app.id,
    name = app.name,
    task = app.task,
    slot = app.slot,
    -- While an old version still runs, that one is true.
    version = kept and kept.version or definition and definition.version or app.version,
    command = command_text(document.command),
    cache_lines = document.cache_lines,
    comments = document.comments,
    description = document.description,
    env = hidden_env(document.env),
    working_dir = definition and (document.working_dir or "/"),
    user = definition and (document.user or context.owner),
    restart = document.restart,
    nice = document.nice,
    umask = document.umask and ("%03o"):format(document.umask),
    limits = document.limits,
    no_new_privs = document.no_new_privs,
    capabilities = document.capabilities,
    resource_limit = document.resource_limit,
    limits_enforced = app.pid and resource_limit.enforced(document.resource_limit, app.enforced),
    containment = app.pid and (app.cgroup and "cgroup" or app.group_only and "group" or "session"),
    stop_signal = document.stop_signal,
    stop_timeout = document.stop_timeout,
    reload_signal = document.reload_signal,
    init_command = command_text(document.init_command),
    init_timeout = document.init_timeout,
    fini_command = command_text(document.fini_command),
    fini_timeout = document.fini_timeout,
    ready = document.ready,
    ready_fd = document.ready_fd,
    ready_timeout = document.ready_timeout,
    health_check = document.health_check,
    health_check_cmd = command_text(document.health_check_cmd),
    restarted_at = document.restarted_at,
    status = document.status or 1,
    state = state_of(app, is_waiting),
    health = health_of(app, is_waiting),
    pid = app.pid,
    memory = app.pid and app.memory, -- what was measured last may be of a process that has ended since
    cpu = app.pid and app.cpu,
    restarts = math.max(0, app.starts - 1),
    ["return"] = return_code(app.last_exit),
    error = error_of(app),
    output_problem = app.output and output_trouble.text(app.output, launch.output_path(context.log_dir, app.name)),
    output = document.output,
    last_start_time = app.started_at and text(app.started_at),
    next_start_time = next_start and text(next_start),
    start_time = document.start_time,
    start_interval_seconds = document.start_interval_seconds,
    start_interval_timeout = document.start_interval_timeout,
    keep_running = document.keep_running,
    schedule = document.schedule,
    daily_limitation = document.daily_limitation,
    posix_timezone = document.posix_timezone,
  }
end

return M
