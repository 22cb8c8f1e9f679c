--- Shuts out what this leader wrote itself and does not know the end of.
--
-- A batch whose answer was lost, or is not waited for any more, may still be written: by then something else may have been
-- decided, and cas protects only the hosts that both change. So each batch names the ModifyIndex of the key `leader` beside
-- its session; and where a batch may still be on its way, that key gets other flags in the very transaction that reads what
-- stands in the store. What that shows counts: nothing of before is written after it.
local json = require("appmgr.json")

local M = {}

local Fence = {}
Fence.__index = Fence

--- @tparam table deps `session` (id()), `node`, `now` (function → unix s)
-- @treturn Fence with nothing on its way
function M.new(deps)
  return setmetatable({ session = deps.session, now = deps.now, value = json.encode(deps.node), doubts = 0, settled = 0 }, Fence)
end

--- Something may be on its way, of this term or of one before it.
function Fence:doubt()
  self.doubts = self.doubts + 1
end

--- What the next transaction that reads has to begin with.
-- @treturn ?{table,...} operations of client.encode_transaction; nil when nothing is on its way
-- @treturn ?integer for `settle`, when they were written
function Fence:operations()
  if self.doubts == self.settled then return nil end
  -- Other ones than ever before, also when an agent before this one chose them.
  self.flags = math.max((self.flags or 0) + 1, math.floor(self.now() * 1000))
  local session = self.session:id()
  return {
    { verb = "check-session", key = "leader", session = session },
    { verb = "lock", key = "leader", value = self.value, session = session, flags = self.flags },
  }, self.doubts
end

--- They were written: what was on its way until then is shut out.
-- @tparam integer doubts
function Fence:settle(doubts)
  self.settled = doubts
end

return M
