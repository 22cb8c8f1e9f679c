--- supervisord: one Python process; a section of its configuration is an application.
local environment = require("tests.bench.peers.environment")
local process = require("tests.lib.process")

local M = {name = "supervisord", most = math.huge}

local Supervisord = {}
Supervisord.__index = Supervisord

local HEAD = [[
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%s/pid
minfds=16000
minprocs=16000

]]

local SECTION = [[
[program:app%d]
command=%s
autorestart=true
stdout_logfile=NONE
stderr_logfile=NONE

]]

function M.open(root, dir, commands)
  local text = {HEAD:format(dir)}
  for index, command in ipairs(commands) do
    text[#text + 1] = SECTION:format(index, command)
  end
  process.spit(dir .. "/supervisord.conf", table.concat(text))
  return setmetatable({root = root, dir = dir}, Supervisord)
end

function Supervisord:start()
  self.process = process.start(
    {"python3", self.root .. "/usr/bin/supervisord", "-c", self.dir .. "/supervisord.conf"},
    {env = environment{PYTHONPATH = self.root .. "/usr/lib/python3/dist-packages"}})
  return self.process.pid
end

function Supervisord:processes()
  return {self.process.pid}
end

function Supervisord:stop()
  self.process:kill("sigterm")
end

function Supervisord:destroy()
  self.process:stop("sigkill")
end

return M
