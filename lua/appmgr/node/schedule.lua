--- When the applications of this node run: decides at each moment what is wanted of those that do not simply run.
--
-- The keeper starts and stops, and knows no time. Here the time is compared with what
-- was begun (`handled`, a moment: everything due until then is done with), and an
-- application is told `run`, `off` or `keep`. It is level-triggered as the application
-- itself is: `decide` may be called at any time, and finds the same.
--
-- What was begun is kept in the state directory and stands in the keeper's tag, so that an
-- agent that comes back neither repeats a run nor loses one: what fell due meanwhile is
-- made up for by one run.
--
-- Moments are unix seconds by the wall clock, which may be set: it is looked at no less
-- often than every 30 s.
local When = require("appmgr.when")
local Zone = require("appmgr.when.zone")
local launch = require("appmgr.node.launch")

local M = {}

local Schedule = {}
Schedule.__index = Schedule

local LOOK_MS <const> = 30000
--- Many runs begin together: they are written together. Until then the keeper's tags say it.
local SAVE_MS <const> = 500
--- A clock that moved by more than this against the machine's own was set.
local SET_MS <const> = 1000
--- A clock that is set back by more than this is believed: what it comes by again happens again.
local BACK_S <const> = 3 * 3600

local BUSY = { starting = true, running = true, backoff = true, stopping = true, replacing = true }

--- Only what is whole is taken over from the file.
local function read_records(kept)
  local records = {}
  for id, record in pairs(kept or {}) do
    if type(record) == "table" and type(record.plan) == "string" and math.type(record.handled)
      and type(record.last or {}) == "table" then
      records[id] = record
    end
  end
  return records
end

--- @tparam table deps `timer` (core.timer), `state` (of the node), `json`, `log`, `read_file` (path → bytes | nil, err),
--   `zone` (Zone in which an application without `posix_timezone` lives)
-- @treturn Schedule of no application
function M.new(deps)
  return setmetatable({
    timer = deps.timer, state = deps.state, json = deps.json, log = deps.log, read_file = deps.read_file,
    zone = deps.zone, zones = {}, entries = {}, records = read_records(deps.state:load_runs()),
  }, Schedule)
end

local function now_of(self)
  return self.timer.wall_ms() / 1000
end

local function save_later(self)
  if self.saving then return end
  self.saving = self.timer.after(SAVE_MS, function()
    self.saving = nil
    self.state:save_runs(self.records)
  end)
end

-- Records ----------------------------------------------------------------------

--- Begins the record of an application, or goes on with the one there is. What simply runs within hours needs none.
-- @treturn ?table
local function record_of(self, app, plan, when, now)
  if plan.kind == "long" then
    self:forget(app)
    return nil
  end
  local record, text = self.records[app.id], self.json.encode(plan)
  if record and record.plan == text then return record end
  local run = app.kept and app.kept.run
  record = record or { kind = app.kind, run = run, started = run, anchor = run }
  -- Other times: what the old ones were is over, and what the new ones would have been never was.
  record.plan, record.handled = text, now
  if when:needs_anchor() and not record.anchor then
    record.anchor = math.floor(now)
    record.handled = record.anchor - 1 -- the first run is now
  end
  self.records[app.id] = record
  save_later(self)
  return record
end

--- What an application that was adopted no longer knows.
local function recall(app, record)
  app.last_exit = app.last_exit or record.last
  app.started_at = app.started_at or record.started_at
end

--- Takes note of what has become of an application.
local function note(self, entry)
  local app, record = entry.app, entry.record
  local run = app.kept and app.kept.run
  -- An agent may have begun it and not have come to write it down.
  if run and run >= (record.run or 0) and record.started ~= run then
    record.run, record.started, record.handled = run, run, math.max(run, record.handled)
    save_later(self)
  end
  if record.started_at ~= app.started_at or record.last ~= app.last_exit then
    record.started_at, record.last = app.started_at, app.last_exit
    save_later(self)
  end
end

-- Decisions ------------------------------------------------------------------

--- The next time that nothing was done about; infinite when there is none.
local function due_of(entry)
  local record = entry.record
  if entry.due_after ~= record.handled then
    entry.due_after, entry.due = record.handled, entry.when:next(record.handled, record.anchor) or math.huge
  end
  return entry.due
end

--- A clock that was set back: by little, nothing that ran is repeated; by more, the new time counts.
local function follow_clock_back(entry, now)
  local ahead_s = entry.record.handled - now
  if ahead_s > 0 and ahead_s > math.min(due_of(entry) - entry.record.handled, BACK_S) then
    entry.record.handled = now
    if entry.record.anchor then entry.record.anchor = math.min(entry.record.anchor, math.floor(now)) end
  end
end

local function begin(self, entry, now)
  local record = entry.record
  record.run, record.handled = math.max(math.floor(now), (record.run or 0) + 1), now
  save_later(self)
end

--- Whether the time to begin has come: something is due, and the last one has ended or had its time.
local function is_time(entry, now)
  local due = due_of(entry)
  if due > now then return false end
  local state = entry.app.state
  return (state ~= "running" and state ~= "starting") or now >= due + entry.when.grace
end

local function run_definition(self, entry)
  local made, run = entry.run_definition, entry.record.run
  if not made or made.run ~= run then
    made = launch.for_run(entry.definition, run)
    entry.run_definition = made
  end
  return made
end

-- By the plan's kind. Each is told whether the application may run now.
local decide = {}

function decide.long(_, entry, _, is_open)
  entry.app:want(is_open and "run" or "off", entry.definition)
end

function decide.periodic(self, entry, now, is_open)
  if not is_open then return entry.app:want("off", entry.definition) end
  if not entry.record.run or is_time(entry, now) then begin(self, entry, now) end
  entry.app:want("run", run_definition(self, entry))
end

--- Between its runs nothing is wanted of it: `keep` lets a run go on, and starts none again.
function decide.short(self, entry, now, is_open)
  local app, record = entry.app, entry.record
  local is_foreign = app.kept and not app.kept.run -- a process from before it had times
  if is_foreign or (not is_open and BUSY[app.state]) then app:want("off", entry.definition) end
  if BUSY[app.state] and app.mode == "off" then return end
  if not is_open then return app:want("keep", entry.definition) end
  if record.run == record.started and is_time(entry, now) then begin(self, entry, now) end
  if record.run ~= record.started then
    app:want("run", run_definition(self, entry))
    if not app.kept or app.kept.run ~= record.run then return end -- the last one still ends, or there is no keeper
    record.started, record.handled = record.run, now -- what fell due while it could not begin is this one, too
    save_later(self)
  end
  app:want("keep", entry.definition)
end

--- When this entry has to be looked at again, and what is shown as its next start (nil: none).
local function look_ahead(entry, now, opens, closes)
  if opens > now then return opens, opens end
  if entry.when.kind == "long" then return closes, entry.when:next(now) end
  local due = due_of(entry)
  if due <= now then due = due + entry.when.grace end
  return math.min(due, closes), due < math.huge and due or nil
end

local function decide_entry(self, entry, now)
  local app, when = entry.app, entry.when
  if entry.record then
    note(self, entry)
    follow_clock_back(entry, now)
  end
  local opens, closes = when:open(now)
  local shown = app.next_time
  app.is_waiting = when.kind == "short" or opens > now
  -- Set before as well: what is decided is told at once, and must not be told with the next start of before.
  app.next_time = select(2, look_ahead(entry, now, opens, closes))
  decide[when.kind](self, entry, now, opens <= now)
  local look_at
  look_at, app.next_time = look_ahead(entry, now, opens, closes)
  -- A look that is over was acted on; what still keeps the next one from beginning is told by the keeper.
  entry.look_at = look_at > now and look_at or math.huge
  if app.next_time ~= shown then app.on_change(app) end
end

-- The clock ------------------------------------------------------------------

local tick

--- Arranges a look at a moment, unless an earlier one is arranged.
local function wake_at(self, moment, now)
  if self.waking and moment >= self.wakes_at then return end
  if self.waking then self.waking:cancel() end
  local delay_ms = math.max(1, math.min(LOOK_MS, math.ceil((moment - now) * 1000)))
  self.wakes_at = now + delay_ms / 1000
  self.waking = self.timer.after(delay_ms, function() tick(self) end)
end

--- Whether the clock was set since the last look.
local function was_set(self)
  local skew_ms = self.timer.wall_ms() - self.timer.now_ms()
  local moved_ms = skew_ms - (self.skew_ms or skew_ms)
  self.skew_ms = skew_ms
  if math.abs(moved_ms) <= SET_MS then return false end
  self.log.info(("the clock was set by %+.1f s: applications that run at times are looked at again"):format(
    moved_ms / 1000))
  return true
end

function tick(self)
  self.waking = nil
  local now, all, soonest = now_of(self), was_set(self), nil
  for _, entry in pairs(self.entries) do
    if all or entry.look_at <= now then decide_entry(self, entry, now) end
    soonest = math.min(soonest or math.huge, entry.look_at)
  end
  if soonest then wake_at(self, soonest, now) end
end

-- What others call -----------------------------------------------------------

local function zone_of(self, name)
  if not name then return self.zone end
  local zone, err = self.zones[name], nil
  if not zone then
    zone, err = Zone.open(name, self.read_file)
    self.zones[name] = zone
  end
  return zone, err
end

--- Decides of an entry now, as its application or its document has changed.
local function look(self, entry)
  local now = now_of(self)
  if not self.skew_ms then was_set(self) end
  decide_entry(self, entry, now)
  wake_at(self, entry.look_at, now)
end

--- Makes an application run when its document says; at once and always, when it says nothing.
-- @tparam App app
-- @tparam table definition from launch.definition
function Schedule:want(app, definition)
  local plan = definition.application.when
  if not plan then
    self:forget(app)
    return app:want("run", definition)
  end
  local zone, err = zone_of(self, plan.zone)
  if not zone then
    self:pause(app)
    return app:want("keep", definition, "posix_timezone: " .. err)
  end
  local entry = self.entries[app.id]
  if not entry or entry.definition.application ~= definition.application then
    local when = When.new(plan, zone)
    entry = { app = app, when = when, record = record_of(self, app, plan, when, now_of(self)) }
    self.entries[app.id] = entry
    if entry.record then recall(app, entry.record) end
  end
  if entry.definition ~= definition then entry.definition, entry.run_definition = definition, nil end
  look(self, entry)
end

--- The keeper said something about an application.
-- @tparam App app
function Schedule:changed(app)
  local entry = self.entries[app.id]
  if entry then look(self, entry) end
end

--- Whether an application has runs of its own that begin at times.
-- @tparam App app
function Schedule:has_runs(app)
  local entry = self.entries[app.id]
  return entry ~= nil and entry.record ~= nil
end

--- Begins a run now, whatever its next time; one that still runs ends first.
-- @tparam App app one that has runs
-- @treturn boolean|nil, string `nil, err` outside its hours
function Schedule:run_now(app)
  local entry, now = self.entries[app.id], now_of(self)
  if entry.when:open(now) > now then return nil, "it does not run at this hour (daily_limitation)" end
  begin(self, entry, now)
  look(self, entry)
  return true
end

--- Decides nothing about an application any more, and keeps in mind what was begun of it.
-- @tparam App app
function Schedule:pause(app)
  self.entries[app.id], app.is_waiting = nil, nil
  if not app.next_time then return end
  app.next_time = nil
  app.on_change(app)
end

--- The same, and what was begun of it is over: its times begin anew.
-- @tparam App app
function Schedule:forget(app)
  self:pause(app)
  if not self.records[app.id] then return end
  self.records[app.id] = nil
  save_later(self)
end

--- Forgets what belongs to nothing any more.
-- @tparam function is_over (id, kind "local" or "replica") → boolean
function Schedule:prune(is_over)
  for id, record in pairs(self.records) do
    if is_over(id, record.kind) then
      self.records[id] = nil
      save_later(self)
    end
  end
end

--- Decides nothing any more. What was not written yet is written now.
function Schedule:stop()
  if self.waking then self.waking:cancel() end
  self.waking, self.entries = nil, {}
  if not self.saving then return end
  self.saving:cancel()
  self.saving = nil
  self.state:save_runs(self.records)
end

return M
