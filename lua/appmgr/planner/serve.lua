--- The life of a process in which policies run: it reads messages, answers them, and ends with its input.
local frame = require("appmgr.planner.frame")
local garbage = require("appmgr.planner.garbage")

--- Serves until whoever started this process closes the pipe.
-- @tparam table pipe core.pipe
-- @tparam function handle (header, body) → header and body of the answer, if there is one
return function(pipe, handle)
  for bytes in pipe.read do
    garbage.pace()
    local header, body = frame.decode(bytes)
    if header then
      header, body = handle(header, body)
    else
      header, body = { type = "error", message = body }, nil
    end
    if header then pipe.write(frame.encode(header, body)) end
  end
end
