--- The planner process: reads messages, answers them, ends with its input.
--
-- It has no network and no files: once its code is loaded, a system call for anything
-- but its pipes, memory and time kills it. Whatever goes wrong in here ends this process at
-- worst; the agent starts another one and gives it everything again.
local codec = require("core.codec")
local pipe = require("core.pipe")
local sandbox = require("core.sandbox")

local Desk = require("appmgr.planner.desk")
local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")

local desk = Desk.new({ json = json, codec = codec, sandbox = sandbox })

local function answer(bytes)
  local header, body = frame.decode(bytes)
  if not header then
    return { type = "error", message = body }
  end
  return desk:handle(header, body)
end

--- Works until the agent closes the pipe.
-- @treturn integer exit code
return function()
  codec.sha256("") -- OpenSSL reads its configuration when it is first used
  pipe.confine()
  -- What is decided on is large and stays; to look through it whenever as much again was made would be half of the work.
  collectgarbage("setpause", 400)
  for bytes in pipe.read do
    local header, body = answer(bytes)
    if header then
      pipe.write(frame.encode(header, body))
    end
  end
  return 0
end
