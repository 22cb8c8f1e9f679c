--- Whether the agent's loop answers in time: how long its turns held it, and a word in the log where one held it for long.
--
-- Nothing on the loop blocks, so a slow turn is a fault of this program, an overloaded machine, or a REPL line.

local M = {}

local LoopWatch = {}
LoopWatch.__index = LoopWatch

local SLOW_MS <const> = 50
local QUIET_MS <const> = 60000

--- Begins to watch.
-- @tparam table deps `loop` (core.loop), `timer`, `log`
-- @treturn LoopWatch
function M.start(deps)
  local self = setmetatable({ loop = deps.loop, timer = deps.timer, log = deps.log, slow_turns = 0 }, LoopWatch)
  self.loop.on_slow(SLOW_MS, function(held_ms) self:note(held_ms) end)
  return self
end

--- Takes a turn that was slow; said once a minute at most.
function LoopWatch:note(held_ms)
  self.slow_turns = self.slow_turns + 1
  local now_ms = self.timer.now_ms()
  if self.quiet_until_ms and now_ms < self.quiet_until_ms then return end
  self.quiet_until_ms = now_ms + QUIET_MS
  self.log.warn(("the agent did one thing for %d ms: what else it has to do waited so long; %d turns over %d ms since its start")
    :format(held_ms, self.slow_turns, SLOW_MS))
end

--- What `status` shows.
-- @treturn table {longest_ms, slow_turns, slow_ms (from when on a turn is called slow)}
function LoopWatch:status()
  return { longest_ms = self.loop.longest_ms(), slow_turns = self.slow_turns, slow_ms = SLOW_MS }
end

--- Ends watching.
function LoopWatch:stop()
  self.loop.on_slow(SLOW_MS, nil)
end

return M
