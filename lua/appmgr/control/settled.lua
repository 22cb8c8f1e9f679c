--- Methods that need to know what runs wait for it: an agent that has just started has not heard all of it from its keeper.
--
-- That takes milliseconds, so a client would rather wait than be told to ask again. A keeper that does not answer at all is
-- not waited for: the handler is called then too, and says so.

local M = {}

local LOOK_MS <const> = 20
local PATIENCE_MS <const> = 3000

--- @tparam table timer core.timer
-- @treturn function of a handler, returns one that is called as soon as it is known what runs, or after 3 s all the same
function M.new(timer)
  return function(handler)
    return function(agent, request)
      local deadline_ms = timer.now_ms() + PATIENCE_MS
      local function look()
        if request.closed then return end
        if agent.apps:is_known() or timer.now_ms() >= deadline_ms then return request:run(handler, agent) end
        timer.after(LOOK_MS, look)
      end
      look()
    end
  end
end

return M
