--- Keeps an application's runs in memory; stands in for `appmgr.node.history`.
local M = {}

--- @treturn table a history whose `runs`, `forgotten` and `kept_only` can be looked at
function M.new()
  local history = { runs = {}, forgotten = {} }
  function history:note(id, event, now, done)
    if id then
      self.runs[id] = self.runs[id] or {}
      table.insert(self.runs[id], { type = event.type, code = event.code, now = now })
    end
    if done then done() end
  end
  function history:read(id) return table.move(self.runs[id] or {}, 1, 99, 1, {}) end
  function history:forget(id) self.forgotten[#self.forgotten + 1] = id end
  function history:keep_only(ids) self.kept_only = ids end
  return history
end

return M
