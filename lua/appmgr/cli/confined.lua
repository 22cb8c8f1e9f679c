--- A process of this command's own in which policies run (core.planner): it is given messages, and heard until it has said
-- enough. Whatever it does, it is killed in the end.

local frame = require("appmgr.planner.frame")

local M = {}

--- Runs one.
-- @tparam table core the core modules by name
-- @tparam {string,...} messages frames
-- @tparam table options `timeout_ms`; `is_patient`: the time begins anew with each message; `role`, `memory_mb`, see
--   core.planner; `on_message`: function(header, body, process) → true when that was enough
-- @treturn boolean|nil,string,string true, or nil with "unusable" (no such process can be had), "timeout" or "ended", and why
function M.run(core, messages, options)
  local kind, reason, timer, process
  local is_over = false

  -- Once: a process that is killed below tells its end later, when nobody waits for it any more.
  local function finish(how, why)
    if is_over then return end
    is_over, kind, reason = true, how, why
    timer:cancel()
    core.loop.stop()
  end

  local function expect()
    if timer then timer:cancel() end
    timer = core.timer.after(options.timeout_ms, function() finish("timeout", ("%d s"):format(options.timeout_ms // 1000)) end)
  end

  local started, err = core.planner.start({
    role = options.role, memory_mb = options.memory_mb,
    on_message = function(bytes)
      if is_over then return end
      local header, body = frame.decode(bytes)
      if not header then return finish("ended", "it wrote nonsense: " .. body) end
      if options.is_patient then expect() end
      if options.on_message(header, body, process) then finish() end
    end,
    on_exit = function(why)
      process = nil
      finish("ended", tostring(why))
    end,
  })
  if not started then return nil, "unusable", err end
  process = started
  expect()
  for _, message in ipairs(messages) do process:send(message) end
  core.loop.run()
  if process then process:kill() end
  if kind then return nil, kind, reason end
  return true
end

return M
