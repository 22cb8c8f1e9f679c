--- A planner that answers when the spec says so; stands in for `core.planner`.
--
--     local planner = require("spec.support.fake_planner").new()
--     leader = Leader.new({ planner = planner, … })
--     planner.decide({ batches = { body } })   -- answers the last "decide"

local frame = require("appmgr.planner.frame")

local M = {}

--- @treturn table a core.planner with `started` (all planners), `last()`, `messages(type)`, `say(header, body)`,
--   `configured()`, `decide(fields)` and `broken` (start fails)
function M.new()
  local planner = { started = {}, is_obedient = true }

  function planner.start(options)
    if planner.broken then return nil, planner.broken end
    local process = { messages = {}, options = options, number = #planner.started + 1 }
    planner.started[process.number] = process

    function process.send(_, bytes)
      assert(not process.ended, "a planner that ended was sent something")
      local header, body = frame.decode(bytes)
      process.messages[#process.messages + 1] = { header = header, body = body }
    end

    function process.kill()
      process.killed = true
      process.exit("killed")
    end

    function process.pid() return 1000 + process.number end

    --- Ends as a process does, told once.
    function process.exit(reason)
      if process.ended then return end
      process.ended = true
      options.on_exit(reason)
    end

    return process
  end

  --- The planner started last.
  function planner.last()
    return assert(planner.started[#planner.started], "no planner was started")
  end

  --- What the last planner was sent, of one type.
  function planner.messages(kind)
    local list = {}
    for _, message in ipairs(planner.last().messages) do
      if message.header.type == kind then list[#list + 1] = message end
    end
    return list
  end

  function planner.say(header, body)
    planner.last().options.on_message(frame.encode(header, body))
  end

  function planner.configured()
    planner.say({ type = "configured", ok = true })
  end

  --- Answers the last "decide"; `fields` win over what a plain decision says, `batches` become its body.
  function planner.decide(fields)
    fields = fields or {}
    local asked = planner.messages("decide")
    local header = asked[#asked].header
    local answer = { type = "decision", term = header.term, snapshot = header.snapshot, outcome = "ok", batch_bytes = {} }
    local batches = fields.batches or {}
    for i, batch in ipairs(batches) do answer.batch_bytes[i] = #batch end
    for name, value in pairs(fields) do
      if name ~= "batches" then answer[name] = value end
    end
    planner.say(answer, table.concat(batches))
  end

  return planner
end

return M
