--- A planner of this process: it is given messages, and one answer of it is waited for.

local frame = require("appmgr.planner.frame")

local M = {}

--- Longer than the leader waits for its planner: this one has everything to read at once.
M.TIMEOUT_MS = 8 * 1000

--- What this planner says beside the answer that is waited for.
local function refusal_in(header)
  if header.type == "error" then return "the planner refused a message: " .. tostring(header.message) end
  if header.type == "configured" and not header.ok then return tostring(header.error) end
end

--- Runs a planner until it has answered.
-- @tparam table core the core modules by name
-- @tparam {string,...} messages frames
-- @tparam string wanted the type of the answer
-- @tparam[opt] table options `timeout_ms` (TIMEOUT_MS), `needs_policy`: a policy that cannot be loaded is a failure
-- @treturn[1] table its header
-- @treturn[2] nil
-- @treturn[2] string why there is none
function M.ask(core, messages, wanted, options)
  options = options or {}
  local timeout_ms = options.timeout_ms or M.TIMEOUT_MS
  local answer, failure, timer, planner
  local is_finished = false

  -- Once: a planner that is killed below tells its end later, when nobody waits for it any more.
  local function finish(err)
    if is_finished then return end
    is_finished, failure = true, err
    timer:cancel()
    core.loop.stop()
  end

  local function on_message(bytes)
    local header, reason = frame.decode(bytes)
    if not header then return finish("the planner wrote nonsense: " .. reason) end
    local refused = refusal_in(header)
    if refused and (header.type == "error" or options.needs_policy) then return finish(refused) end
    if header.type ~= wanted then return end
    answer = header
    finish()
  end

  local started, err = core.planner.start({
    on_message = on_message,
    on_exit = function(reason)
      planner = nil
      finish("the planner ended: " .. tostring(reason))
    end,
  })
  if not started then return nil, err end
  planner = started
  timer = core.timer.after(timeout_ms, function()
    finish(("the planner did not answer within %d s"):format(timeout_ms // 1000))
  end)
  for _, message in ipairs(messages) do planner:send(message) end
  core.loop.run()
  if planner then planner:kill() end
  if answer then return answer end
  return nil, failure
end

return M
