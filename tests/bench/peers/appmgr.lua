--- appmgr itself: one agent without Consul, its keeper and its logger.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local process = require("tests.lib.process")
local environment = require("tests.bench.peers.environment")
local kin = require("tests.bench.peers.kin")

local M = {name = "appmgr", most = math.huge}

local Appmgr = {}
Appmgr.__index = Appmgr

--- @tparam[opt] table documents further fields of every application
function M.open(_, dir, commands, documents)
  local applications = {}
  for index, command in ipairs(commands) do
    local document = {name = "app" .. index, command = command}
    for field, value in pairs(documents or {}) do
      document[field] = value
    end
    applications[index] = document
  end
  local agent = Agent.new{node = "bench", dir = dir, env = environment(), config = {Applications = applications}}
  return setmetatable({agent = agent}, Appmgr)
end

function Appmgr:start()
  self.agent:launch()
  self.process = self.agent.process
  return self.process.pid
end

-- The keeper's pid stands in its lock file.
function Appmgr:keeper_pid()
  return tonumber(process.slurp(self.agent.state_dir .. "/keeper.lock"):match("%d+"))
end

function Appmgr:processes()
  local own = kin.family(self:keeper_pid(), "appmgr-logger")
  table.insert(own, 1, self.process.pid)
  return own
end

function Appmgr:stop()
  self.process:kill("sigint")
end

function Appmgr:destroy()
  if self.process:is_running() then
    self.process:kill("sigkill")
  end
  for _, pid in ipairs{self:keeper_pid()} do
    uv.kill(pid, "sigkill")
  end
  self.agent:destroy()
end

return M
