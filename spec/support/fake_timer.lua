--- A clock that only moves when a spec says so; stands in for `core.timer`.
--
--     local timer = require("spec.support.fake_timer").new()
--     timer.after(100, fn)
--     timer.advance(100)   -- fn has run, now_ms() says 100 more
--
-- All functions are called with a dot, as those of core.timer are.

local M = {}

--- @tparam[opt=1000000] integer start_ms what now_ms() says at first
-- @treturn table a core.timer with the controls advance, jump, set_wall and pending
function M.new(start_ms)
  local now = start_ms or 1000000
  local waiting = {}
  local created = 0
  local skew = 1600000000000 - now
  local timer = {}

  local function add(delay_ms, interval_ms, fn)
    assert(type(delay_ms) == "number" and delay_ms >= 0, "a delay is a number of ms, not negative")
    assert(type(fn) == "function", "a timer needs a function")
    created = created + 1
    local entry = { due = now + delay_ms, order = created, interval_ms = interval_ms, fn = fn }
    function entry.cancel()
      waiting[entry] = nil
    end
    waiting[entry] = true
    return entry
  end

  local function earliest(limit)
    local best
    for entry in pairs(waiting) do
      if entry.due <= limit and (not best or entry.due < best.due
          or entry.due == best.due and entry.order < best.order) then
        best = entry
      end
    end
    return best
  end

  function timer.now_ms()
    return now
  end

  --- The clock on the wall goes with the other, from 2020-09-13 12:26:40 UTC on.
  function timer.wall_ms()
    return now + skew
  end

  --- Sets the clock on the wall, and no other.
  function timer.set_wall(unix_ms)
    skew = unix_ms - now
  end

  function timer.after(delay_ms, fn)
    return add(delay_ms, nil, fn)
  end

  function timer.every(interval_ms, fn)
    return add(interval_ms, interval_ms, fn)
  end

  --- Moves the clock on and runs what falls due, each callback at its own time.
  function timer.advance(ms)
    local limit = now + (ms or 0)
    while true do
      local entry = earliest(limit)
      if not entry then break end
      now = math.max(now, entry.due)
      if entry.interval_ms then entry.due = now + entry.interval_ms else waiting[entry] = nil end
      entry.fn()
    end
    now = limit
  end

  --- Moves the clock and runs nothing: the process was frozen. What fell due
  -- meanwhile runs with the next advance (also with advance(0)).
  function timer.jump(ms)
    now = now + ms
  end

  --- @treturn integer how many timers wait
  function timer.pending()
    local count = 0
    for _ in pairs(waiting) do count = count + 1 end
    return count
  end

  --- @treturn integer|nil ms until the next timer falls due
  function timer.next_ms()
    local entry = earliest(math.huge)
    return entry and entry.due - now
  end

  return timer
end

return M
