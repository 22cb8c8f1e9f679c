--- The phases of something that does one thing at a time: a request under way, or a wait, belongs to the phase it was begun
-- in. With the phase it ends, and an answer that comes all the same is dropped.
--
-- The functions work on an object with the fields `phase` (its name), `timer`, `request` and `wait` (each has `cancel`, or is nil).

local M = {}

--- Enters a phase, maybe the same again; what is under way is called off.
-- @tparam table self
-- @tparam string name
function M.enter(self, name)
  self.generation = (self.generation or 0) + 1
  if self.request then self.request:cancel() end
  if self.wait then self.wait:cancel() end
  self.request, self.wait = nil, nil
  self.phase = name
end

--- A callback that is dropped once another phase was entered.
-- @tparam table self
-- @tparam function callback
-- @treturn function
function M.current(self, callback)
  local generation = self.generation
  return function(...)
    if generation == self.generation then callback(...) end
  end
end

--- Calls fn(self) later, unless another phase is entered or another wait begun.
-- @tparam table self
-- @tparam number delay_ms
-- @tparam function fn
function M.after(self, delay_ms, fn)
  if self.wait then self.wait:cancel() end
  self.wait = self.timer.after(delay_ms, M.current(self, function()
    self.wait = nil
    fn(self)
  end))
end

return M
