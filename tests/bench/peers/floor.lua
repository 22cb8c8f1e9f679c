--- The kernel's own floor, measured as if it were a supervisor (floor.c).
local Agent = require("tests.lib.agent")
local environment = require("tests.bench.peers.environment")
local process = require("tests.lib.process")

local M = {name = "kernel", most = 8192}

local Floor = {}
Floor.__index = Floor

--- @tparam string dir for its files
-- @tparam {string,...} commands
function M.open(_, dir, commands)
  process.spit(dir .. "/commands", table.concat(commands, "\n") .. "\n")
  return setmetatable({dir = dir}, Floor)
end

function Floor:start()
  self.process = process.start({Agent.build_dir .. "/tests/floor", self.dir .. "/commands"}, {env = environment()})
  return self.process.pid
end

function Floor:processes()
  return {self.process.pid}
end

function Floor:stop()
  self.process:kill("sigterm")
end

function Floor:destroy()
  self.process:stop("sigterm")
end

return M
