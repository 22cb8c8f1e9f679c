--- Methods about the applications of this node.

local suggest = require("appmgr.suggest")

local M = {}

--- Finds an application of this node.
-- @tparam table agent
-- @tparam string name as in the status key: a task's second slot is "name#2"
-- @treturn[1] table its row of the status key
-- @treturn[2] nil
-- @treturn[2] string why not, with the nearest name there is
function M.find(agent, name)
  local known = {}
  for _, row in ipairs(agent.apps:list()) do
    if row.name == name then return row end
    known[#known + 1] = row.name
  end
  local near = suggest.nearest(tostring(name), known)
  local hint = near and ('; did you mean "%s"?'):format(near) or '; "appmgr app ls" lists those there are'
  return nil, ('no application "%s" on node "%s"%s'):format(tostring(name), agent.node, hint)
end

--- app.list {} → [fields of the status key]
function M.list(agent, request)
  request:reply(agent.apps:list())
end

--- app.show {name} → fields of the status key
function M.show(agent, request)
  local row, err = M.find(agent, request.params.name)
  if not row then return request:fail("not_found", err) end
  request:reply(row)
end

return M
