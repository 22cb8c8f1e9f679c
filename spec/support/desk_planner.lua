--- A planner in this process: the real desk behind the interface of `core.planner`.

local core = require("spec.support.core")
local Desk = require("appmgr.planner.desk")
local frame = require("appmgr.planner.frame")

local M = {}

--- @tparam table timer of spec.support.fake_timer; answers take one ms
-- @treturn table a core.planner; `live` is how many planners run
function M.new(timer)
  local planner = { live = 0 }

  function planner.start(options)
    local desk = Desk.new({ json = core.json, codec = core.codec, sandbox = core.sandbox })
    local process, ended = {}, false
    planner.live = planner.live + 1

    function process.send(_, bytes)
      timer.after(1, function()
        if ended then return end
        local header, body = desk:handle(frame.decode(bytes))
        if header then options.on_message(frame.encode(header, body)) end
      end)
    end

    function process.kill()
      if ended then return end
      ended = true
      planner.live = planner.live - 1
      options.on_exit("killed")
    end

    function process.pid() return 1 end

    return process
  end

  return planner
end

return M
