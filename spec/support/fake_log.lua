--- Collects what is logged; stands in for `core.log`.
--
--     local log = require("spec.support.fake_log").new()
--     log.warn("text")   log.lines[1] == "WARN text"

local M = {}

--- @treturn table a core.log whose `lines` hold "LEVEL text"
function M.new()
  local log = { lines = {} }
  for _, level in ipairs({ "debug", "info", "warn", "error" }) do
    log[level] = function(text)
      assert(type(text) == "string", "a log line is a string")
      log.lines[#log.lines + 1] = level:upper() .. " " .. text
    end
  end

  --- @treturn integer how many lines hold this plain text
  function log.count(text)
    local count = 0
    for _, line in ipairs(log.lines) do
      if line:find(text, 1, true) then count = count + 1 end
    end
    return count
  end

  return log
end

return M
