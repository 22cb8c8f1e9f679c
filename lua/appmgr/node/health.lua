--- Looks whether applications are well, and whether they are ready in time.
--
-- Each application that runs and has a check is watched: its first look comes after a random part of the interval, so that
-- what started together is not looked at together, and from then on one at every interval. Thresholds make a verdict of
-- looks. What the keeper is told: that an application is ready (`ready`: "health"), and that a run is to end (`restart`,
-- `ready_timeout`), which it restarts as if it had ended by itself, with back-off and attempts.
--
-- Level-triggered as the application is: `changed` compares what is watched with what runs.
local M = {}

local Health = {}
Health.__index = Health

--- The longest until the first look, and between looks while something waits for the first that is well.
local FIRST_MS <const> = 5000
local SOON_MS <const> = 1000
--- Looks that fall due together begin one after the other.
local GAP_MS <const> = 2

--- @tparam table deps `timer`, `random` (as math.random), `log`, `now` (unix s), `probe` (node/probe.lua)
-- @treturn Health that watches nothing
function M.new(deps)
  return setmetatable({
    timer = deps.timer, random = deps.random, log = deps.log, now = deps.now, probe = deps.probe,
    watched = {}, due = {},
  }, Health)
end

local function is_watched(self, entry)
  return self.watched[entry.app.id] == entry
end

-- When to look -------------------------------------------------------------------

local look

--- Begins the look whose turn it is; the next has to wait a little.
local function take_turn(self)
  self.pacing = nil
  local entry = table.remove(self.due, 1)
  if not entry then return end
  self.pacing = self.timer.after(GAP_MS, function() take_turn(self) end)
  if is_watched(self, entry) then look(self, entry) end
end

local function look_after(self, entry, delay_ms)
  entry.timer = self.timer.after(math.max(1, math.floor(delay_ms)), function()
    entry.timer = nil
    self.due[#self.due + 1] = entry
    if not self.pacing then take_turn(self) end
  end)
end

--- How long from one look to the next.
local function period_of(entry)
  local interval_ms = entry.check.interval_ms
  return entry.app:is_getting_ready() and math.min(interval_ms, SOON_MS) or interval_ms
end

-- What comes of it ---------------------------------------------------------------

local function take_good(self, entry)
  local app = entry.app
  entry.good, entry.bad = entry.good + 1, 0
  if entry.good < entry.check.healthy_threshold then return end
  if app.health == "unhealthy" then self.log.info(app.name .. ": healthy again") end
  app:set_health("healthy")
  if entry.ready == "health" and app:is_getting_ready() then app:set_ready() end
end

local function take_bad(self, entry, reason)
  local app = entry.app
  entry.good, entry.bad = 0, entry.bad + 1
  if entry.bad < entry.check.unhealthy_threshold then return end
  local text = "unhealthy: health check " .. reason
  if app.health ~= "unhealthy" then self.log.warn(("%s: %s"):format(app.name, text)) end
  app:set_health("unhealthy", text)
  -- What is not ready yet has its ready_timeout.
  if not entry.check.restart or entry.is_ended or app:is_getting_ready() then return end
  entry.is_ended = app:end_run(text .. "; it was ended because of that")
  if entry.is_ended then self.log.warn(app.name .. ": is ended because it is unhealthy") end
end

function look(self, entry)
  local app, begun_ms = entry.app, self.timer.now_ms()
  local is_begun = self.probe:begin(app.id, app.kept.definition or app.shown, function(is_well, reason)
    if not is_watched(self, entry) then return end
    if is_well then take_good(self, entry) elseif is_well == false then take_bad(self, entry, reason) end
    look_after(self, entry, begun_ms + period_of(entry) - self.timer.now_ms())
  end)
  if not is_begun then look_after(self, entry, math.min(entry.check.interval_ms, SOON_MS)) end
end

-- What is watched ----------------------------------------------------------------

local function unwatch(self, entry)
  self.watched[entry.app.id] = nil
  for _, name in ipairs({ "timer", "ready_timer" }) do
    if entry[name] then entry[name]:cancel() end
  end
  if entry.check then self.probe:cancel(entry.app.id) end
end

--- Ends a run that is not ready in time.
local function await_ready(self, entry, timeout_s)
  local app = entry.app
  if not app:is_getting_ready() then return end
  local left_s = timeout_s - (self.now() - (app.started_at or self.now()))
  entry.ready_timer = self.timer.after(math.max(1, math.floor(left_s * 1000)), function()
    if not app:is_getting_ready() then return end
    local text = ("was not ready within %g s"):format(timeout_s)
    self.log.warn(("%s: %s and is ended"):format(app.name, text))
    app:end_run(text .. "; it was ended because of that")
  end)
end

local function watch(self, app, document, before)
  local entry = {
    app = app, pid = app.pid, document = document, check = document.check, ready = document.ready,
    good = before and before.good or 0, bad = before and before.bad or 0, is_ended = before and before.is_ended,
  }
  self.watched[app.id] = entry
  if entry.ready then await_ready(self, entry, document.ready_timeout) end
  if entry.check then
    look_after(self, entry, self.random() * math.min(period_of(entry), FIRST_MS))
  end
end

--- Something about an application has changed.
-- @tparam App app
function Health:changed(app)
  local document = app.state == "running" and app.pid and app:document() or nil
  if document and not (document.check or document.ready) then document = nil end
  local entry = self.watched[app.id]
  if entry and document == entry.document and app.pid == entry.pid then return end
  if not entry and not document then return end
  if entry then unwatch(self, entry) end
  if not document or self.is_over then return end
  watch(self, app, document, entry and entry.pid == app.pid and entry or nil)
end

--- The keeper gave its list.
function Health:take_over(list)
  self.probe:take_over(list)
end

--- Takes an event of the keeper; returns whether it was about a check.
function Health:keeper_event(event)
  return self.probe:event(event)
end

--- Looks at nothing any more. A command that runs is the keeper's to end.
function Health:stop()
  self.is_over = true
  if self.pacing then self.pacing:cancel() end
  for _, entry in pairs(self.watched) do
    for _, name in ipairs({ "timer", "ready_timer" }) do
      if entry[name] then entry[name]:cancel() end
    end
  end
  self.watched = {}
end

return M
