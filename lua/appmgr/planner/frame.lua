--- What agent and planner say to each other: a header (one line of JSON) and a
-- raw body. Consul's answers travel as they came; the agent never parses them.
local json = require("appmgr.json")

local M = {}

--- Puts a message together.
-- @tparam table header a JSON object with a `type`
-- @tparam[opt=""] string body raw bytes
-- @treturn string the payload of one frame
function M.encode(header, body)
  return json.encode(header) .. "\n" .. (body or "")
end

--- Takes a message apart.
-- @tparam string bytes the payload of one frame
-- @treturn[1] table header
-- @treturn[1] string body, maybe empty
-- @treturn[2] nil
-- @treturn[2] string why it is no message
function M.decode(bytes)
  local stop = bytes:find("\n", 1, true)
  if not stop then
    return nil, "a frame without a header line"
  end
  local header, reason = json.decode(bytes:sub(1, stop - 1))
  if type(header) ~= "table" or type(header.type) ~= "string" then
    return nil, "a frame whose header is no object with a type: " .. tostring(reason or "")
  end
  return header, bytes:sub(stop + 1)
end

return M
