--- Long work in short pieces, so that the loop gets its turn in between.
--
-- The first piece is done at once: what is short is over when `run` returns.
local M = {}

local Turns = {}
Turns.__index = Turns

--- How long one piece may hold the loop.
local BUDGET_MS <const> = 10
--- How many steps are taken between two looks at the clock.
local STEPS_A_LOOK <const> = 8

--- @tparam table deps `defer` (function(fn): fn in the next turn of the loop), `now_ms` (function)
-- @treturn Turns with nothing to do
function M.new(deps)
  return setmetatable({ defer = deps.defer, now_ms = deps.now_ms, work = nil }, Turns)
end

local function go_on(self, work)
  local began = self.now_ms()
  repeat
    for _ = 1, STEPS_A_LOOK do
      if self.work ~= work then return end
      if not work.step() then
        self.work = nil
        return work.done()
      end
    end
  until self.now_ms() - began >= BUDGET_MS
  self.defer(function() go_on(self, work) end)
end

--- Begins work; what was under way is given up.
-- @tparam function step does a small part and returns whether there is more
-- @tparam function done called after the last step
function Turns:run(step, done)
  self.work = { step = step, done = done }
  go_on(self, self.work)
end

--- Gives up what is under way.
function Turns:cancel()
  self.work = nil
end

--- @treturn boolean whether work is under way
function Turns:is_busy()
  return self.work ~= nil
end

return M
