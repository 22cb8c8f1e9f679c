--- The planner process: reads messages, answers them, ends with its input.
--
-- It has no network and no files: once its code is loaded, a system call for anything
-- but its pipes, memory and time kills it. Whatever goes wrong in here ends this process at
-- worst; the agent starts another one and gives it everything again.
local codec = require("core.codec")
local pipe = require("core.pipe")
local sandbox = require("core.sandbox")

local Desk = require("appmgr.planner.desk")
local json = require("appmgr.json")
local serve = require("appmgr.planner.serve")

local desk = Desk.new({ json = json, codec = codec, sandbox = sandbox })

--- Works until the agent closes the pipe.
-- @treturn integer exit code
return function()
  codec.sha256("") -- OpenSSL reads its configuration when it is first used
  pipe.confine()
  serve(pipe, function(header, body) return desk:handle(header, body) end)
  return 0
end
