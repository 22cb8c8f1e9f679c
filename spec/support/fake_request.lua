--- A request as control handlers get it: keeps what it is answered.
--
--     local request = fake_request.new({ name = "web" })
--     handler(agent, request)
--     request.result, request.code, request.message, request.events

local M = {}

--- @tparam[opt] table params
-- @tparam[opt] table session what the connection keeps between requests
-- @treturn table request; `disconnect()` plays a client that goes away
function M.new(params, session)
  local request = { params = params or {}, session = session or {}, events = {}, closed = false }

  local function finish()
    assert(not request.closed, "a request is answered once")
    request.closed = true
  end

  function request:reply(result)
    finish()
    self.result = result == nil and "nothing" or result
  end

  function request:fail(code, message)
    finish()
    self.code, self.message = code, message
  end

  function request:event(value)
    if not self.closed then self.events[#self.events + 1] = value end
  end

  function request:on_close(fn)
    self.close_callback = fn
  end

  function request:run(handler, agent)
    handler(agent, self)
  end

  function request.disconnect()
    request.closed = true
    if request.close_callback then request.close_callback() end
  end

  return request
end

return M
