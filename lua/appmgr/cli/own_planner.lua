--- A planner of this process: it is given messages, and one answer of it is waited for.

local confined = require("appmgr.cli.confined")

local M = {}

--- Longer than the leader waits for its planner: this one has everything to read at once.
M.TIMEOUT_MS = 8 * 1000

--- What this planner says beside the answer that is waited for.
local function refusal_in(header)
  if header.type == "error" then return "the planner refused a message: " .. tostring(header.message) end
  if header.type == "configured" and not header.ok then return tostring(header.error) end
end

local TEXT <const> = {
  unusable = "%s", timeout = "the planner did not answer within %s", ended = "the planner ended: %s",
}

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
  local answer, refused
  local done, kind, reason = confined.run(core, messages, {
    timeout_ms = options.timeout_ms or M.TIMEOUT_MS,
    on_message = function(header)
      refused = refusal_in(header)
      if refused and (header.type == "error" or options.needs_policy) then return true end
      if header.type == wanted then answer = header end
      return answer ~= nil
    end,
  })
  if not done then return nil, TEXT[kind]:format(reason) end
  if answer then return answer end
  return nil, refused
end

return M
