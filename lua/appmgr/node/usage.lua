--- What the applications' process trees use: memory, and processor time since the last look.
--
-- One survey (core.survey) serves all applications. It is done in small steps with the loop's other work in between,
-- so that it takes no longer for anybody else with a thousand of them.
--
-- Most applications sleep most of the time. What is not known to have used anything between two looks is quiet, and is not
-- looked at while the cgroup above all of them tells that none of the quiet ones can have run: a thousand that sleep cost one
-- file.
local M = {}

local Usage = {}
Usage.__index = Usage

--- How long one step may hold the loop.
local STEP_MS <const> = 3
--- What the quiet ones may have used together before they are looked at. It is more than what those that run use between
-- the looks at them and at the cgroup above, and less than what is shown.
local QUIET_US <const> = 1000

--- @tparam table deps `survey` (core.survey), `timer`
-- @treturn Usage
function M.new(deps)
  return setmetatable({
    survey = deps.survey, timer = deps.timer, callbacks = {}, others_us = 0,
    others = setmetatable({}, { __mode = "k" }), -- set of those that are not quiet
    fresh = {}, -- those that were looked at for the first time in the last round
  }, Usage)
end

--- Percent of one processor, to a tenth.
local function percent(used_us, elapsed_ms)
  return math.floor(used_us / elapsed_ms + 0.5) / 10
end

--- What was found of an application before, if the same process was meant.
local function before_of(app)
  local before = app.measured
  return before and before.pid == app.pid and before or nil
end

--- Something about an application has changed: another process is to be looked at.
-- @tparam App app
function Usage:changed(app)
  if app.pid and not before_of(app) then
    self.others[app], app.memory, app.cpu = true, nil, nil
  end
end

--- Takes what was found of one application. One that was quiet has used nothing up to the last round.
local function take(self, app, found)
  local round, before = self.round, before_of(app)
  if not found then
    app.memory, app.cpu, app.measured, self.others[app] = nil, nil, nil, true
    return
  end
  local since_ms = round.at_ms
  if before then since_ms = self.others[app] and before.at_ms or math.max(before.at_ms, self.quiet_at_ms or 0) end
  if not found.is_unchanged then app.memory = found.memory_bytes end
  app.cpu = round.at_ms > since_ms and percent(math.max(0, found.cpu_us - before.cpu_us), round.at_ms - since_ms) or nil
  app.measured = { pid = app.pid, cpu_us = found.cpu_us, at_ms = round.at_ms }
  if not before then table.insert(round.fresh, app) end
  self.others[app] = not (app.cgroup and (found.is_unchanged or not before)) or nil
end

local function finish(self)
  local callbacks = self.callbacks
  self.fresh, self.round, self.callbacks = self.round.fresh, nil, {}
  for _, callback in ipairs(callbacks) do callback() end
end

local look

--- What was used in an application's cgroup since it was looked at before. A run may go on in the cgroup of the one before it,
-- or begin in a new one, which counts from 0.
local function used_in_cgroup(app, found)
  local before_us = app.measured and app.measured.cpu_us or 0
  return found.cpu_us - (before_us <= found.cpu_us and before_us or 0)
end

--- Takes what was found, and returns what those with a cgroup have used since they were looked at before.
local function take_all(self, found)
  local round, used_us = self.round, 0
  for index, app in ipairs(round.apps) do
    -- One that ended meanwhile, or another process by now, is for the next round.
    if app.pid == round.trees[index].pid then
      if found[index] and app.cgroup then used_us = used_us + used_in_cgroup(app, found[index]) end
      take(self, app, found[index])
    end
  end
  return used_us
end

--- Whether the quiet ones may have run: the cgroup above all was used for more than what is known of the others. It is looked at
-- last, so that what it says is never too little.
local function may_have_run(self, used_us)
  local before_us, all_us = self.above_us, self.survey.cgroup_cpu_us(self.round.above)
  self.above_us = all_us
  if not all_us or not before_us then return true end
  self.others_us = math.max(0, self.others_us + all_us - before_us - used_us)
  return self.others_us >= QUIET_US
end

local function stay_quiet(self)
  self.quiet_at_ms = self.round.at_ms
  for _, app in ipairs(self.fresh) do
    if before_of(app) then app.cpu = 0 end
  end
end

--- Those that run, but for those in a set.
local function running(apps, without)
  local list = {}
  for _, app in pairs(apps) do
    if app.pid and not without[app] then list[#list + 1] = app end
  end
  return list
end

local function looked(self, found)
  local round, used_us = self.round, take_all(self, found)
  if not round.above or round.is_last then return finish(self) end
  if not may_have_run(self, used_us) then
    stay_quiet(self)
    return finish(self)
  end
  self.others_us, round.is_last = 0, true
  look(self, running(round.all, round.seen))
end

local function step(self)
  local found = self.round.survey:step(STEP_MS)
  if found then return looked(self, found) end
  self.pause = self.timer.after(1, function() step(self) end)
end

function look(self, apps)
  local round = self.round
  round.apps, round.trees = apps, {}
  for index, app in ipairs(apps) do
    local before = before_of(app)
    round.seen[app] = true
    round.trees[index] = { pid = app.pid, cgroup = app.cgroup, cpu_us = before and before.cpu_us }
  end
  if #apps == 0 then return looked(self, {}) end
  round.survey = self.survey.begin(round.trees)
  step(self)
end

--- The others, without those that have ended.
local function others_that_run(self)
  local list = {}
  for app in pairs(self.others) do
    if app.pid then list[#list + 1] = app else self.others[app] = nil end
  end
  return list
end

--- Measures what runs: sets `memory` (bytes) and `cpu` (percent of one processor since the last look, nil after the
-- first one) of each application.
-- @tparam table apps table of App
-- @tparam function callback called when that is done: at once where it is little
-- @tparam ?string above the directory of the cgroup that all of theirs are in
function Usage:measure(apps, callback, above)
  table.insert(self.callbacks, callback)
  if self.round then return end
  self.round = { all = apps, at_ms = self.timer.now_ms(), above = above, fresh = {}, seen = {} }
  look(self, above and others_that_run(self) or running(apps, {}))
end

--- Gives up what is under way; its callbacks are not called.
function Usage:stop()
  if self.pause then self.pause:cancel() end
  self.round, self.pause, self.callbacks = nil, nil, {}
end

return M
