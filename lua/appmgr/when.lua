--- When an application runs: every way to say it comes down to "the next time after T".
--
-- Pure: no clock is read here. Moments are unix time in seconds.
--
--   when/fields.lua    the fields of a document → a plan
--   when/cron.lua      five fields of cron
--   when/window.lua    hours of the day
--   when/zone.lua      clocks on walls; posix.lua and tzif.lua read what moves them
local Cron = require("appmgr.when.cron")
local Window = require("appmgr.when.window")

local M = {}

local When = {}
When.__index = When

--- How many times or windows are looked at before "never": more than three years of days.
local MOST_LOOKS <const> = 1200

--- @tparam table plan from when/fields.lua
-- @tparam Zone zone the plan's, else the node's own
-- @treturn When with `kind` and `grace` (s) of the plan
function M.new(plan, zone)
  return setmetatable({
    kind = plan.kind, grace = plan.grace, interval = plan.interval, zone = zone,
    start = plan.start and (zone:moment(plan.start)),
    cron = plan.schedule and assert(Cron.read(plan.schedule)),
    window = plan.window and Window.new(plan.window.from, plan.window.to, zone),
  }, When)
end

--- Whether its times are counted from the moment at which a node first had it.
-- @treturn boolean
function When:needs_anchor()
  return self.interval ~= nil and not self.start
end

--- The time in which it may run: now, or next.
-- @tparam number moment unix s
-- @treturn integer|number when it opens, not after `moment` if it is open
-- @treturn number when it closes, after `moment`; infinite when it never does
function When:open(moment)
  local from = math.max(moment, self.start or moment)
  if not self.window then return self.start or moment, math.huge end
  local opens, closes = self.window:at(from)
  return math.max(opens, self.start or opens), closes
end

--- @tparam number moment unix s
-- @treturn boolean whether it may run
function When:is_open(moment)
  return self:open(moment) <= moment
end

--- The next time, whether it may run then or not.
local function next_time(self, after, anchor)
  if self.cron then return self.cron:next(math.max(after, (self.start or after) - 1), self.zone) end
  local first = self.start or anchor
  if after < first then return first end
  return first + ((after - first) // self.interval + 1) * self.interval
end

--- The next time after a moment: at which a run begins, the process is renewed, or a time in which it may run begins.
-- @tparam number after unix s
-- @tparam ?number anchor unix s, when `needs_anchor`
-- @treturn ?number unix s, nil when there is none
function When:next(after, anchor)
  if self.kind == "long" then
    local opens, closes = self:open(after)
    if opens > after then return opens end
    return closes < math.huge and (self:open(closes)) or nil
  end
  local moment = next_time(self, after, anchor)
  for _ = 1, MOST_LOOKS do
    if not moment then return nil end
    local opens = self:open(moment)
    if opens <= moment then return moment end
    moment = next_time(self, opens - 1, anchor)
  end
  return nil
end

return M
