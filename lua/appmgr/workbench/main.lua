--- The workbench's process: policies are tried here by `appmgr policy check|test|simulate`, under the limits of a planner.
--
-- It has no network and no files, see planner/main.lua. Whatever a policy does ends this process at worst; the
-- command that started it says how.
local codec = require("core.codec")
local pipe = require("core.pipe")
local sandbox = require("core.sandbox")

local Bench = require("appmgr.workbench.bench")
local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")
local serve = require("appmgr.planner.serve")

local bench = Bench.new({
  json = json, codec = codec, sandbox = sandbox, clock = os.clock,
  tell = function(header, body) pipe.write(frame.encode(header, body)) end,
})

-- Of memory that ran out the text alone is left, and is what is told; all else is a mistake of ours.
local function explained(err)
  return err == "not enough memory" and err or debug.traceback(err, 2)
end

local function handle(header, body)
  local ok, answer, answer_body = xpcall(bench.handle, explained, bench, header, body)
  if ok then return answer, answer_body end
  if answer ~= "not enough memory" then error(answer, 0) end
  bench = nil
  collectgarbage()
  return { type = "failed", outcome = "no_memory", message = "it had no memory left" }
end

--- Works until the command closes the pipe.
-- @treturn integer exit code
return function()
  codec.sha256("") -- OpenSSL reads its configuration when it is first used
  pipe.confine()
  serve(pipe, handle)
  return 0
end
