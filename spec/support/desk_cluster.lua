--- Clusters that the desk's specs begin with.
local Cluster = require("spec.support.cluster")

local M = {}

--- How many of these slots a host has; all of them when none is named.
function M.count(slots, host)
  local total = 0
  for _, name in pairs(slots) do
    if name == host or host == nil then total = total + 1 end
  end
  return total
end

--- A cluster of alpha, beta and gamma; options as of spec/support/cluster.lua.
function M.three_nodes(options)
  local cluster = Cluster.new(options)
  for _, name in ipairs({ "alpha", "beta", "gamma" }) do cluster:node(name) end
  return cluster
end

return M
