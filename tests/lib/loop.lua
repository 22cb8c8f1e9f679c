--- The event loop of a test: everything that a test waits for is waited for here.
-- Servers that a test plays itself (proxy.lua) live on the same loop, so a test
-- must never block outside of it: no os.execute, no io.popen on the product.
local uv = require("luv")

local M = {}

-- How many times slower than a quiet machine this one may be; the deadlines grow with it.
local SLOWNESS = tonumber(os.getenv("APPMGR_TEST_SLOWNESS") or "1")
local FIRST_LOOK_MS, LONGEST_LOOK_MS = 5, 50

--- A clock that only goes forward.
-- @treturn number milliseconds, with fractions
function M.now_ms()
  return uv.hrtime() / 1e6
end

-- One timer for all turns: closing one each time would itself end the next turn at once.
local alarm

-- What the loop needs before it runs, made again after close_all.
local function prepare()
  alarm = uv.new_timer()
  -- A peer that closes while we write to it is part of many tests, and must not end them.
  uv.new_signal():start("sigpipe", function() end)
end

--- Runs the loop for one turn, at most `longest_ms` (a whole number).
function M.turn(longest_ms)
  if not alarm or alarm:is_closing() then
    prepare()
  end
  -- It repeats: libuv 1.44 fires what is due before it waits, and on a busy machine the alarm may be due
  -- by then. Without a next time the loop would wait for ever.
  uv.update_time()
  alarm:start(longest_ms, longest_ms, function() end)
  uv.run("once")
  alarm:stop()
end

--- Lets `duration_ms` pass (a TTL that must run out); the loop goes on meanwhile.
function M.pass(duration_ms)
  local limit = M.now_ms() + duration_ms
  while M.now_ms() < limit do
    M.turn(math.max(1, math.ceil(limit - M.now_ms())))
  end
end

local function complaint(what, deadline_ms, why)
  local text = ("not within %d ms: %s"):format(deadline_ms, what)
  if why ~= nil then
    text = text .. "; last seen: " .. tostring(why)
  end
  return text
end

--- Runs the loop until `condition` holds, and returns what it returned.
-- @tparam string what told in the error when it never holds
-- @tparam number deadline_ms before the slowness of the machine is counted in
-- @tparam function condition returns a truthy value, or false and what it saw instead
function M.wait_for(what, deadline_ms, condition)
  deadline_ms = deadline_ms * SLOWNESS
  local limit, look_ms = M.now_ms() + deadline_ms, FIRST_LOOK_MS
  while true do
    local result, why = condition()
    if result then
      return result, why
    end
    if M.now_ms() >= limit then
      error(complaint(what, deadline_ms, why), 2)
    end
    M.pass(look_ms)
    look_ms = math.min(look_ms * 2, LONGEST_LOOK_MS)
  end
end

--- Watches for `duration_ms` that `condition` holds all the time.
-- For "nothing happens" only; what should happen is waited for with wait_for.
function M.hold(what, duration_ms, condition)
  local limit = M.now_ms() + duration_ms
  repeat
    local result, why = condition()
    if not result then
      error(("did not hold: %s; seen: %s"):format(what, tostring(why)), 2)
    end
    M.pass(LONGEST_LOOK_MS)
  until M.now_ms() >= limit
end

--- Closes everything that is open on the loop (the end of a test process: luv
-- must not meet open handles while Lua itself is being taken down).
function M.close_all()
  uv.walk(function(handle)
    if not handle:is_closing() then
      handle:close()
    end
  end)
  uv.run("nowait")
end

return M
