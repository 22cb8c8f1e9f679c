--- What a command line gets in a spec: collected output and an agent that answers from a table.
--
--     local context = fake_context.new({ ["app.list"] = { … } })
--     fake_context.run(context, "app", "ls")   -- exit code
--     context.out, context.err                 -- what was printed

require("spec.support.core")
local Context = require("appmgr.cli.context")
local dispatch = require("appmgr.cli.dispatch")

local M = {}

local function collector()
  local handle = { text = "" }
  function handle:write(...)
    self.text = self.text .. table.concat({ ... })
    return self
  end
  function handle:flush() return self end
  return handle
end

--- @tparam table answers by method: a result, a function(params, on_event) → result or nil, message; absent
--   methods fail
-- @tparam[opt] table input {stdin={line,…}, core={…}}
-- @treturn table context with `calls` ({method, params} each), `out()` and `err()`
function M.new(answers, input)
  input = input or {}
  local stdin = { lines = input.stdin or {} }
  function stdin:read(what)
    if math.type(what) then return table.concat(self.lines, "\n"):sub(1, what) end
    return table.remove(self.lines, 1)
  end
  local core = setmetatable({ runtime = { version = "9.9.9" }, codec = require("core.codec") }, { __index = input.core })
  local stdout, stderr = collector(), collector()
  local context = Context.new({
    core = core, stdin = stdin, stdout = stdout, stderr = stderr,
    getenv = function(name) return (input.environment or {})[name] end,
    run_script = function(path, words) return path == "seven.lua" and 7 + #words or 1 end,
  })
  context.calls = {}
  function context:call(method, params, on_event)
    self.calls[#self.calls + 1] = { method = method, params = params }
    local answer = answers[method]
    if type(answer) == "function" then return answer(params or {}, on_event) end
    if answer == nil then return nil, "no agent answers" end
    return answer
  end
  function context.disconnect() end
  function context.out() return stdout.text end
  function context.err() return stderr.text end
  return context
end

--- Runs one command line.
-- @treturn integer exit code
function M.run(context, ...)
  return dispatch.run(context, { ... })
end

return M
