--- The benchmark's end of beacon.c: commands for applications that tell when they run.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local process = require("tests.lib.process")

local M = {}

local Beacons = {}
Beacons.__index = Beacons

--- Opens a FIFO in a folder.
-- @treturn table with `count`; `seen[label]` is the time (ms, uv.hrtime's clock) when it last began to run, `pid[label]`
--   its process, `seen[label .. ".signal"]` when it last got SIGUSR1
function M.open(dir)
  local self = setmetatable({path = dir .. "/beacons", seen = {}, pid = {}, count = 0, text = ""}, Beacons)
  assert(process.run({"mkfifo", self.path}).code == 0)
  -- Opened for writing as well, so that it never ends.
  local fd = assert(uv.fs_open(self.path, "r+", 0))
  self.pipe = uv.new_pipe()
  self.pipe:open(fd)
  self.pipe:read_start(function(_, bytes)
    self.text = self.text .. (bytes or "")
    for label, nanoseconds, pid in self.text:gmatch("(%S+) (%d+) (%d+)\n") do
      self.seen[label], self.pid[label], self.count = tonumber(nanoseconds) / 1e6, tonumber(pid), self.count + 1
    end
    self.text = self.text:match("[^\n]*$")
  end)
  return self
end

--- The command of an application that reports under `label`.
function Beacons:command(label)
  return ("%s/tests/beacon %s %s"):format(Agent.build_dir, self.path, label)
end

return M
