--- A transport that answers when the spec says so; stands in for `core.http`.
--
--     local http = require("spec.support.fake_http").new()
--     … code under test sends …
--     http.last().reply(200, "true", { ["x-consul-index"] = "7" })
--
-- With `http.respond = function(request) … end` every request is handed to that
-- function as it is sent; it may reply at once or keep the request for later.

local M = {}

local function new_request(options, callback)
  local request = { method = options.method, url = options.url, body = options.body, options = options }
  local finished = false

  local function finish(response, err)
    if finished then return false end
    finished = true
    callback(response, err)
    return true
  end

  --- Answers; a request that was cancelled or answered before stays as it is.
  function request.reply(status, body, headers)
    return finish({ status = status, body = body or "", headers = headers or {} })
  end

  --- Fails as the transport does: code "connect", "timeout", "tls", "cut"…
  function request.fail(code, message)
    return finish(nil, { code = code, message = message or ("fake " .. code) })
  end

  function request.cancel()
    request.cancelled = not finished
    finished = true
  end

  function request.is_open()
    return not finished
  end

  --- @treturn string|nil value of a header that was sent ("X-Consul-Token")
  function request.header(name)
    for _, line in ipairs(options.headers or {}) do
      local key, value = line:match("^([^:]+):%s*(.*)$")
      if key and key:lower() == name:lower() then return value end
    end
  end

  return request
end

--- @treturn table a core.http with `requests`, `last()`, `open(pattern)` and `respond`
function M.new()
  local http = { requests = {} }

  function http.request(options, callback)
    assert(type(options.url) == "string" and type(callback) == "function", "request(options, callback)")
    local request = new_request(options, callback)
    http.requests[#http.requests + 1] = request
    if http.respond then http.respond(request) end
    return { cancel = function() request.cancel() end }
  end

  --- @treturn table the request sent last (fails when there is none)
  function http.last()
    return assert(http.requests[#http.requests], "no request was sent")
  end

  --- @tparam[opt] string text plain text that stands in "METHOD url"
  -- @treturn table the requests that wait for an answer
  function http.open(text)
    local list = {}
    for _, request in ipairs(http.requests) do
      local line = request.method .. " " .. request.url
      if request.is_open() and (not text or line:find(text, 1, true)) then list[#list + 1] = request end
    end
    return list
  end

  --- The only waiting request that matches; fails when there are more or none.
  function http.only(text)
    local list = http.open(text)
    assert(#list == 1, ("%d requests wait for %s, not 1"):format(#list, text or "an answer"))
    return list[1]
  end

  return http
end

return M
