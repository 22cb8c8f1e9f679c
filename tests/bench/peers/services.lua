--- runit and s6: a folder for each application with a script `run` in it, a process that scans the folders and one more
-- for each of them.
local uv = require("luv")
local environment = require("tests.bench.peers.environment")
local kin = require("tests.bench.peers.kin")
local process = require("tests.lib.process")

local M = {}

local Services = {}
Services.__index = Services

local function make_service(folder, command)
  assert(uv.fs_mkdir(folder, 448))
  process.spit(folder .. "/run", "#!/bin/sh\nexec " .. command .. "\n")
  assert(uv.fs_chmod(folder .. "/run", 448))
end

--- @tparam table kind `argv` (function(dir) → the scanning process), `supervisor` (name of the other ones), `stop_signal`
-- @tparam string root where the packages were unpacked
local function open(kind, root, dir, commands)
  local services = dir .. "/services"
  assert(uv.fs_mkdir(services, 448))
  assert(uv.fs_symlink(root .. "/usr/bin", services .. "/.peer"))
  for index, command in ipairs(commands) do
    make_service(("%s/app%d"):format(services, index), command)
  end
  return setmetatable({kind = kind, root = root, dir = dir, services = services}, Services)
end

function Services:start()
  self.process = process.start(self.kind.argv(self.services), {
    death_signal = self.kind.stop_signal:sub(4):upper(), -- killed, it would leave all of the others behind
    env = environment{
      PATH = self.root .. "/usr/bin:" .. os.getenv("PATH"), LD_LIBRARY_PATH = self.root .. "/usr/lib/x86_64-linux-gnu",
    },
  })
  return self.process.pid
end

function Services:processes()
  return kin.family(self.process.pid, self.kind.supervisor)
end

function Services:stop()
  self.process:kill(self.kind.stop_signal)
end

--- Ends whatever is left, the applications too.
function Services:destroy()
  local own = self.process:is_running() and self:processes() or {}
  -- The scanning one first, which would start the others again; then those, before what they hold.
  local held = {}
  for index, pid in ipairs(own) do
    if index > 1 then
      table.move(kin.children(pid), 1, 100, #held + 1, held)
    end
    uv.kill(pid, "sigkill")
  end
  for _, pid in ipairs(held) do
    uv.kill(pid, "sigkill")
  end
  self.process:stop("sigkill")
end

M.runit = {
  name = "runit", most = 1000, supervisor = "runsv", stop_signal = "sighup",
  argv = function(services) return {"runsvdir", "-P", services} end,
  open = function(...) return open(M.runit, ...) end,
}

M.s6 = {
  name = "s6", most = 10000, supervisor = "s6-supervise", stop_signal = "sigterm",
  -- peers.sh says why.
  argv = function(services) return {"s6-svscan-here", "-c", "10000", services} end,
  open = function(...) return open(M.s6, ...) end,
}

return M
