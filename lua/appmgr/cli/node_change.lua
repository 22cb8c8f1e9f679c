--- Commands that say what is wanted of a node.

local M = {}

--- Asks for the change and tells what came of it.
-- @tparam table context
-- @tparam table arguments `node`, `force`, `json`
-- @tparam table change of node.set, without the name
-- @tparam string done what to print of a node that was changed, with %s for its name
-- @tparam string already the same when nothing had to be changed
-- @treturn integer exit code
function M.run(context, arguments, change, done, already)
  change.name, change.force = arguments.node, arguments.force
  local result, err = context:call("node.set", change)
  if not result then return context:fail(err) end
  if arguments.json then
    context:print_json(result)
  else
    context:print((result.outcome == "unchanged" and already or done):format(('node "%s"'):format(result.name)))
  end
  return 0
end

return M
