--- `appmgr app logs`: what an application wrote.

local TEXT = [[
appmgr app logs NAME
Print the last lines that an application of this node wrote.

Following goes on when the file is moved away and when the agent is restarted.

  -n, --lines N    how many lines (default: its cache_lines)
  -f, --follow     go on with what it writes from now on, until interrupted
  --since T        all since then instead of the last lines: 10m, 2h, 14:30, "2026-11-23 14:30:00"]]

local since = require("appmgr.cli.since")

--- How long a follower waits for an agent that went away, and how often it looks.
local AWAY_MS <const> = 60000
local LOOK_MS <const> = 200

--- Codes of an agent that is not there, or not yet.
local IS_AWAY = { closed = true, no_agent = true, unavailable = true }

--- Asks for output from a place on, again and again while the agent is away.
local function follow(context, params, on_event)
  local waited_ms
  while true do
    local result, err, code = context:call("app.logs", params, function(event)
      waited_ms, params.from = nil, event.at
      on_event(event)
    end)
    -- Without a place nothing has begun: that agent was never there.
    if result or not IS_AWAY[code] or not params.from then return result, err end
    context:disconnect()
    if not waited_ms then context:warn("appmgr: the agent is away; waiting for it") end
    waited_ms = (waited_ms or 0) + LOOK_MS
    if waited_ms > AWAY_MS then return nil, ("the agent did not come back within %d s: %s"):format(AWAY_MS // 1000, err) end
    context:sleep(LOOK_MS)
  end
end

--- Asks for what was written since a moment, part by part.
-- @treturn ?table the place behind it
local function catch_up(context, params, on_event)
  repeat
    local result, err = context:call("app.logs", params, on_event)
    if not result then return nil, err end
    params = { name = params.name, from = result.at }
  until not result.more
  return params.from
end

local function run(context, arguments)
  local params = { name = arguments.name, lines = arguments.lines, follow = arguments.follow }
  local is_silent = true
  local function print(event)
    if event.note then context:warn("appmgr: " .. event.note) end
    if event.bytes_base64 == "" then return end
    is_silent = false
    context:write(context.core.codec.base64_decode(event.bytes_base64))
  end
  local result, err = {}, nil
  if arguments.since then
    if arguments.lines then return context:misuse("-n and --since exclude each other", "appmgr app logs --help") end
    local moment, reason = since.read(arguments.since, os.time())
    if not moment then return context:misuse("--since: " .. reason, "appmgr app logs --help") end
    params.from, err = catch_up(context, { name = arguments.name, since = moment }, print)
    if not params.from then return context:fail(err) end
  end
  if arguments.follow then
    result, err = follow(context, params, print)
  elseif not arguments.since then
    result, err = context:call("app.logs", params, print)
  end
  if not result then return context:fail(err) end
  if is_silent and arguments.lines ~= 0 then
    context:warn(('application "%s" has written nothing %s'):format(arguments.name, arguments.since and "since then" or "yet"))
  end
  if result.ended then context:warn(result.ended) end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
