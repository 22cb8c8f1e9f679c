--- What the service manager is told (sd_notify(3)).

local M = {}

--- Tells it; that there is none, or that it does not listen, changes nothing.
-- @tparam table core the core modules by name: notify, log
-- @tparam string state "READY=1", "STOPPING=1" …
function M.tell(core, state)
  local told, err = core.notify.send(state)
  if told == nil then core.log.warn("service manager: " .. err) end
end

return M
