--- Writes the batches of one decision, one after another.
--
-- Before each write the right to write is asked for anew: an agent that was
-- frozen between two batches sends no more. Each batch is fenced by itself
-- (check-session on the leader key, cas on what it changes), so that one which
-- is late or doubled changes nothing.
local M = {}

--- Begins to write.
-- @tparam table deps `client`, `batches` (array of transaction bodies), `may_write` (function → boolean), `on_answer`
--   (function(number, status, body): Consul's answer to a batch, applied or refused; status 0 and no body when there is
--   none, so that it is not known which of the two), `on_end` (function(outcome, err, is_unsure): "done", "refused" by a 409,
--   "failed" with err after a status 0, "stopped" when the right to write ended; `is_unsure`: it may still be written)
-- @treturn table handle with cancel(): nothing more is sent or called
function M.run(deps)
  local handle = { cancelled = false }
  local send

  local function answered(number, answer, err)
    if handle.cancelled then return end
    handle.request = nil
    if err and err.kind == "guard" then return deps.on_end("stopped", err) end
    deps.on_answer(number, answer and answer.status or 0, answer and answer.body or "")
    if handle.cancelled then return end
    if err then return deps.on_end("failed", err, true) end
    if answer.status ~= 200 then return deps.on_end("refused", nil, answer.is_second_try) end
    if number == #deps.batches then return deps.on_end("done") end
    send(number + 1)
  end

  function send(number)
    handle.request = deps.client:transaction(deps.batches[number], { guard = deps.may_write }, function(answer, err)
      answered(number, answer, err)
    end)
  end

  function handle.cancel()
    handle.cancelled = true
    if handle.request then handle.request:cancel() end
    handle.request = nil
  end

  send(1)
  return handle
end

return M
