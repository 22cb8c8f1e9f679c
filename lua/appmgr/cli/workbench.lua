--- Has policies tried in a process of their own (workbench/main.lua), and says why where one does not come to an end there.

local confined = require("appmgr.cli.confined")
local frame = require("appmgr.planner.frame")

local M = {}

--- As much as a planner may have.
M.MEMORY_MB = 1024
M.TIMEOUT_S = 10

local ADVICE <const> = {
  timeout = "what cannot be interrupted does that, as a pattern that backtracks for ever; write it so that it ends%s",
  no_memory = "write it so that it makes less%s",
}

local MORE <const> = { timeout = ", or give it longer with --timeout", no_memory = ", or give it more with --memory" }

local function failure_of(outcome, text, at, options)
  local advice = ADVICE[outcome] and "; " .. ADVICE[outcome]:format(options.is_adjustable and MORE[outcome] or "") or ""
  return { outcome = outcome, message = ("%s: %s%s%s"):format(outcome, text, at and " " .. at or "", advice) }
end

--- The message that hands over a policy.
-- @tparam table found see policy_file.read
-- @treturn string a frame
function M.policy(found)
  return frame.encode({ type = "policy", name = found.name, options = found.options }, found.source)
end

--- Runs the workbench until it has answered.
-- @tparam table core the core modules by name
-- @tparam {string,...} messages frames, see workbench/bench.lua
-- @tparam function on_message (header, body, process) → true when that was enough
-- @tparam[opt] table options `memory_mb` (MEMORY_MB), `timeout_s` (TIMEOUT_S: for how long it may say nothing),
--   `is_adjustable`: the command has options for both
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] table `outcome` ("error", "timeout", "no_memory"), `message`; `is_refused`: the policy cannot be loaded
function M.run(core, messages, on_message, options)
  options = options or {}
  local memory_mb, failure, at = options.memory_mb or M.MEMORY_MB, nil, nil
  local take = {
    loads = function() at = "while it was loaded" end,
    works = function() at = nil end,
    asks = function(_, task) at = ("when it was asked about task \"%s\""):format(task) end,
    failed = function(header)
      local is_memory = header.outcome == "no_memory"
      failure = is_memory and failure_of("no_memory", ("it needs more than %d MB"):format(memory_mb), at, options) or header
      return true
    end,
    loaded = function(header)
      if not header.ok then failure = { outcome = "error", message = header.error, is_refused = true } end
      return failure ~= nil
    end,
  }
  local done, kind, reason = confined.run(core, messages, {
    role = "workbench", memory_mb = memory_mb, timeout_ms = 1000 * (options.timeout_s or M.TIMEOUT_S), is_patient = true,
    on_message = function(header, body, process) return (take[header.type] or on_message)(header, body, process) end,
  })
  if kind == "timeout" then failure = failure_of("timeout", "it did not come to an end within " .. reason, at, options) end
  if kind == "ended" then failure = failure_of("error", "its process ended, " .. reason, at, options) end
  if kind == "unusable" then failure = { outcome = "error", message = reason } end
  return done and not failure or nil, failure
end

--- Checks a policy: its syntax, the names it uses, what it declares, the options it is given.
-- @tparam table core the core modules by name
-- @tparam table found `name`, `source`, `options`
-- @tparam string shown what it is called in messages
-- @treturn {string,...} what is wrong, complete lines; empty when nothing is
-- @treturn ?string the policy's name
function M.check(core, found, shown)
  local findings, name
  local header = { type = "check", file = shown, name = found.name, options = found.options }
  local done, failure = M.run(core, { frame.encode(header, found.source) }, function(answer)
    findings, name = answer.findings, answer.name
    return true
  end)
  if not done then return { ("%s: %s"):format(shown, failure.message) } end
  return findings, name
end

return M
