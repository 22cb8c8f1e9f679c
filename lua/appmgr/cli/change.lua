--- Commands that ask for one change for each name on the command line.

local json = require("appmgr.json")

local M = {}

--- Asks for all changes, in their order; one that is refused does not keep the next from being made.
-- @tparam table context
-- @tparam table arguments `json`: for programs
-- @tparam {table,...} changes params of each
-- @tparam string method
-- @tparam function text function(result) → what to print for people
-- @treturn integer exit code
function M.run(context, arguments, changes, method, text)
  local results, code = {}, 0
  for _, params in ipairs(changes) do
    -- How long a change takes is the application's to say (`stop_timeout`): it is waited for as for a stream.
    local result, err = context:call(method, params, function() end)
    if result then
      results[#results + 1] = result
      if result.warning then context:warn("appmgr: " .. result.warning) end
      if not arguments.json then context:print(text(result)) end
    else
      code = context:fail(err)
    end
  end
  if arguments.json then context:print_json(json.array(results)) end
  return code
end

--- The same for names.
function M.names(context, arguments, method, text)
  local changes = {}
  for index, name in ipairs(arguments.name) do changes[index] = { name = name } end
  return M.run(context, arguments, changes, method, text)
end

return M
