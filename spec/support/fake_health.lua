--- Health that nobody looks after; stands in for `node/health.lua`.
local M = {}

--- @treturn table
function M.new()
  return {
    changed = function() end, take_over = function() end, stop = function() end,
    keeper_event = function() return false end,
  }
end

return M
