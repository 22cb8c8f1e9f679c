--- What the applications' process trees use: memory, and processor time since the last look.
--
-- One survey (core.survey) serves all applications. It is done in small steps with the loop's other work in between,
-- so that it takes no longer for anybody else with a thousand of them.
local M = {}

local Usage = {}
Usage.__index = Usage

--- How long one step may hold the loop.
local STEP_MS <const> = 3

--- @tparam table deps `survey` (core.survey), `timer`
-- @treturn Usage
function M.new(deps)
  return setmetatable({ survey = deps.survey, timer = deps.timer, callbacks = {} }, Usage)
end

local function forget(app)
  app.memory, app.cpu, app.measured = nil, nil, nil
end

--- Percent of one processor, to a tenth.
local function percent(used_us, elapsed_ms)
  return math.floor(used_us / elapsed_ms + 0.5) / 10
end

--- Takes what was found of one application. What it used before counts only if the same process was meant.
local function take(app, found, at_ms)
  local before = app.measured
  if not found then return forget(app) end
  if not found.is_unchanged then app.memory = found.memory_bytes end
  local elapsed_ms = before and before.pid == app.pid and at_ms - before.at_ms or 0
  app.cpu = elapsed_ms > 0 and percent(math.max(0, found.cpu_us - before.cpu_us), elapsed_ms) or nil
  app.measured = { pid = app.pid, cpu_us = found.cpu_us, at_ms = at_ms }
end

local function finish(self, found)
  local round, callbacks = self.round, self.callbacks
  self.round, self.callbacks = nil, {}
  for index, app in ipairs(round.apps) do
    -- One that ended meanwhile, or another process by now, is for the next round.
    if app.pid == round.trees[index].pid then take(app, found[index], round.at_ms) end
  end
  for _, callback in ipairs(callbacks) do callback() end
end

local function step(self)
  local found = self.round.survey:step(STEP_MS)
  if found then return finish(self, found) end
  self.pause = self.timer.after(1, function() step(self) end)
end

local function begin(self, apps)
  local round = { apps = {}, trees = {}, at_ms = self.timer.now_ms() }
  for _, app in pairs(apps) do
    if app.pid then
      local before = app.measured
      round.apps[#round.apps + 1] = app
      round.trees[#round.trees + 1] = {
        pid = app.pid, cgroup = app.cgroup, cpu_us = before and before.pid == app.pid and before.cpu_us or nil,
      }
    else
      forget(app)
    end
  end
  round.survey = self.survey.begin(round.trees)
  self.round = round
end

--- Measures what runs: sets `memory` (bytes) and `cpu` (percent of one processor since the last look, nil after the
-- first one) of each application.
-- @tparam table apps table of App
-- @tparam function callback called when that is done: at once where it is little
function Usage:measure(apps, callback)
  table.insert(self.callbacks, callback)
  if self.round then return end
  begin(self, apps)
  step(self)
end

--- Gives up what is under way; its callbacks are not called.
function Usage:stop()
  if self.pause then self.pause:cancel() end
  self.round, self.pause, self.callbacks = nil, nil, {}
end

return M
