--- Commands that ask for one change for each name on the command line.

local json = require("appmgr.json")

local M = {}

--- What one request holds of what is asked for together, with room for the frame: an agent reads 1 MiB.
local PART_BYTES <const> = 768 * 1024

--- How long a change takes is the application's to say (`stop_timeout`): it is waited for as for a stream.
function M.wait_long() end

local wait_long <const> = M.wait_long

--- Says what became of one.
local function tell(context, arguments, result, text)
  if result.warning then context:warn("appmgr: " .. result.warning) end
  if not arguments.json then context:print(text(result)) end
end

--- Asks for one change after the other; one that is refused does not keep the next from being made.
-- @tparam table context
-- @tparam table arguments `name`: the names; `json`: for programs
-- @tparam string method takes {name} and gives a result
-- @tparam function text function(result) → what to print for people
-- @treturn integer exit code
function M.one_by_one(context, arguments, method, text)
  local results, code = json.array({}), 0
  for _, name in ipairs(arguments.name) do
    local result, err = context:call(method, { name = name }, wait_long)
    if result then
      results[#results + 1] = result
      tell(context, arguments, result, text)
    else
      code = context:fail(err)
    end
  end
  if arguments.json then context:print_json(results) end
  return code
end

--- Splits what is asked for into parts that fit into a request.
local function parts_of(items)
  local parts, part, bytes = {}, nil, 0
  for _, item in ipairs(items) do
    local size = #json.encode(item) + 1
    if not part or bytes + size > PART_BYTES then
      part, bytes = json.array({}), 0
      parts[#parts + 1] = part
    end
    part[#part + 1], bytes = item, bytes + size
  end
  return parts
end

--- Asks for all changes together: the agent makes them at once and answers for each. What is too much for a request is
-- asked for in several; a request that is refused as a whole is the last one.
-- @tparam table context
-- @tparam table arguments `json`: for programs
-- @tparam string method takes {[field]=items} and gives an array of results, of which one that was refused has an `error`
-- @tparam string field
-- @tparam {string,...} items names, or documents
-- @tparam function text function(result) → what to print for people
-- @treturn integer exit code
function M.together(context, arguments, method, field, items, text)
  local done, code, asked = json.array({}), 0, 0
  for _, part in ipairs(parts_of(items)) do
    local results, err = context:call(method, { [field] = part }, wait_long)
    if not results then
      code = context:fail(err)
      if asked > 0 then context:warn(("the last %d of %d were not changed"):format(#items - asked, #items)) end
      break
    end
    asked = asked + #part
    for _, result in ipairs(results) do
      if result.error then
        code = context:fail(result.error.message)
      else
        done[#done + 1] = result
        tell(context, arguments, result, text)
      end
    end
  end
  if arguments.json then context:print_json(done) end
  return code
end

return M
