--- The fields of an application that say when it runs, read and checked together.
--
-- What they come to is a plan; `appmgr.when` makes moments of it. Whether this node
-- knows a time zone is not asked here: a document is read on any machine.
local Cron = require("appmgr.when.cron")
local Window = require("appmgr.when.window")
local Zone = require("appmgr.when.zone")
local calendar = require("appmgr.when.calendar")
local fields = require("appmgr.fields")

local M = {}

--- A hundred years of seconds.
local LONGEST_S <const> = 3155760000

local function read_start_time(value)
  if calendar.read_moment(value) then return value end
  return nil, 'must be a local time "YYYY-MM-DD HH:MM:SS"'
end

local function read_keep_running(value)
  if type(value) == "boolean" then return value end
  return nil, "must be true or false"
end

local function read_schedule(value)
  local cron, reason = Cron.read(value)
  return cron and value, reason
end

local function read_time_zone(value)
  if Zone.is_name(value) then return value end
  return nil, 'must be a POSIX time zone such as "CET-1CEST,M3.5.0,M10.5.0/3", or a name such as "Europe/Berlin"'
end

local function read_limitation(value)
  if not fields.is_object(value) then return nil, "must be an object with daily_start and daily_end" end
  for _, name in ipairs({ "daily_start", "daily_end" }) do
    if not calendar.read_time(value[name]) then return nil, name .. ' must be a time of the day "HH:MM:SS"' end
  end
  for name in pairs(value) do
    if name ~= "daily_start" and name ~= "daily_end" then
      return nil, ("has daily_start and daily_end only, not %q"):format(tostring(name))
    end
  end
  if value.daily_start == value.daily_end then
    return nil, "daily_start and daily_end are the same; leave it out for the whole day"
  end
  return { daily_start = value.daily_start, daily_end = value.daily_end }
end

--- The readers, for the schema of an application.
M.READERS = {
  start_time = read_start_time,
  start_interval_seconds = fields.integer(1, LONGEST_S),
  start_interval_timeout = fields.number(0, LONGEST_S),
  keep_running = read_keep_running,
  schedule = read_schedule,
  daily_limitation = read_limitation,
  posix_timezone = read_time_zone,
}

local function window_of(app)
  local limit = app.daily_limitation
  if not limit then return nil end
  return { from = calendar.read_time(limit.daily_start), to = calendar.read_time(limit.daily_end) }
end

--- What two fields say together that no one can do.
local function contradictions(app, window)
  local list = {}
  local function add(condition, text)
    if condition then list[#list + 1] = text end
  end
  local repeats = app.start_interval_seconds or app.schedule
  add(app.start_interval_seconds and app.schedule,
    "schedule: start_interval_seconds says when, too; remove one of them")
  add(app.keep_running and not repeats,
    "keep_running: says that the process is renewed at each time; needs start_interval_seconds or schedule")
  add(app.start_interval_timeout and not repeats,
    "start_interval_timeout: is a time to wait for the last run; needs start_interval_seconds or schedule")
  add(repeats and not app.keep_running and app.restart,
    "restart: a short run is not restarted, it runs again at its next time; remove it, or set keep_running")
  add(app.posix_timezone and not (app.start_time or app.schedule or window),
    "posix_timezone: there is no time that it could apply to; needs start_time, schedule or daily_limitation")
  if app.schedule and window then
    local inside = Cron.read(app.schedule):meets(function(time) return Window.contains(time, window.from, window.to) end)
    add(not inside, "schedule: none of its times lies within daily_limitation")
  end
  return list
end

local function kind_of(app)
  if not app.start_interval_seconds and not app.schedule then return "long" end
  return app.keep_running and "periodic" or "short"
end

--- Looks at all of them together.
-- @tparam table app normalised values by field name
-- @treturn {string,...} errors
-- @treturn ?table the plan: `kind` "long" (runs all the time that it may), "periodic" (the same, and is renewed at each
--   time) or "short" (runs once at each time); `start` (local time), `interval` (s), `schedule` (text), `grace` (s),
--   `window` {`from`, `to`} (s since midnight), `zone` (name). Nil when it simply runs.
function M.plan(app)
  local window = window_of(app)
  local errors = contradictions(app, window)
  local plan = {
    kind = kind_of(app), start = app.start_time and calendar.read_moment(app.start_time),
    interval = app.start_interval_seconds, schedule = app.schedule, grace = app.start_interval_timeout or 0,
    window = window, zone = app.posix_timezone,
  }
  if plan.kind == "long" and not plan.start and not window then return errors, nil end
  return errors, plan
end

return M
