--- `appmgr app logs`: what an application wrote.

local TEXT = [[
appmgr app logs NAME
Print the last lines that an application of this node wrote.

  -n, --lines N    how many lines (default: its cache_lines)
  -f, --follow     go on with what it writes from now on, until interrupted]]

local function run(context, arguments)
  local params = { name = arguments.name, lines = arguments.lines, follow = arguments.follow }
  local is_silent = true
  local result, err = context:call("app.logs", params, function(event)
    is_silent = false
    context:write(context.core.codec.base64_decode(event.bytes_base64))
  end)
  if not result then return context:fail(err) end
  if is_silent and arguments.lines ~= 0 then
    context:warn(('application "%s" has written nothing yet'):format(arguments.name))
  end
  if result.ended then context:warn(result.ended) end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
