--- Keeps problems in a table; stands in for appmgr.problems where a spec only
-- wants to see what is raised and cleared.

local M = {}

--- @treturn table problems with set, clear, list; `raised` counts the changes of text
function M.new()
  local problems = { texts = {}, raised = 0 }

  function problems:set(key, text)
    assert(type(key) == "string" and type(text) == "string", "problems:set takes a key and a text")
    if self.texts[key] ~= text then self.raised = self.raised + 1 end
    self.texts[key] = text
  end

  function problems:clear(key)
    self.texts[key] = nil
  end

  function problems:list()
    local list = {}
    for key, text in pairs(self.texts) do list[#list + 1] = { key = key, text = text } end
    table.sort(list, function(a, b) return a.key < b.key end)
    return list
  end

  return problems
end

return M
