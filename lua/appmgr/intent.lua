--- The document under `node/<host>`: what operators want of a node.
--
--     { "drain": {"deadline": 1767225600, "wait_for_room": true}, "eligible": false, "labels": {"zone": "b"} }
--
-- `"drain": true` is a drain without a deadline that does not wait.
local fields = require("appmgr.fields")

local M = {}

local function read_drain(value)
  if value == nil or value == false then return { is_on = false } end
  if value == true then return { is_on = true, wait_for_room = false } end
  if type(value) ~= "table" or #value > 0 then return nil, "drain is neither true, false nor an object" end
  local deadline = value.deadline
  local is_time = deadline == nil or math.type(deadline) and deadline == deadline and math.abs(deadline) < 1 << 53
  if not is_time then return nil, "drain.deadline is no time in unix seconds" end
  local waits = value.wait_for_room
  if waits ~= nil and type(waits) ~= "boolean" then return nil, "drain.wait_for_room is neither true nor false" end
  return { is_on = true, deadline = deadline and math.tointeger(deadline // 1), wait_for_room = waits == true }
end

--- Reads a decoded document.
-- @param document any value
-- @treturn[1] table `drain`, `eligible`, `wait_for_room` (booleans), `deadline` (unix s; nil without one), `labels` (as
--   they stand there)
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function M.read(document)
  if not fields.is_object(document) then return nil, "is no JSON object" end
  local drain, reason = read_drain(document.drain)
  if not drain then return nil, "cannot be used: " .. reason end
  if document.eligible ~= nil and type(document.eligible) ~= "boolean" then
    return nil, "cannot be used: eligible is neither true nor false"
  end
  return {
    drain = drain.is_on, deadline = drain.deadline, wait_for_room = drain.wait_for_room == true,
    eligible = document.eligible ~= false, labels = document.labels,
  }
end

return M
