-- Least loaded: the node whose busiest resource is the least busy. Busy is what was measured or what replicas asked
-- for, whichever is more: what is placed now only shows in a measurement later, and must count at once.
--
-- Nodes measure in coarse steps, so a tremor moves nothing; and what runs stays where it is, if moves for balance are not asked for.

local MEASURED_AS = { cpu = "cpu", memory_mb = "memory" }

-- In percent, 0 to 100 or more. A node that has measured nothing yet counts as half busy.
local function busy(node, resource, unknown)
  local measured = node.load[MEASURED_AS[resource]] or unknown
  local capacity = node.capacity[resource] or 0
  if capacity == 0 then return measured end
  return math.max(measured, 100 * (node.used[resource] or 0) / capacity)
end

return {
  api = 1,
  name = "least_loaded",
  reads = { "node.load", "node.used", "node.replicas" },
  options = {
    unknown_percent = { type = "number", default = 50, description = "how busy a node counts that has measured nothing" },
  },

  score = function(_, node, _, options)
    local unknown = options.unknown_percent
    local busiest = math.max(busy(node, "cpu", unknown), busy(node, "memory_mb", unknown))
    -- Of nodes that are equally busy, the one with fewer replicas.
    return -(busiest * 1000 + node.replicas)
  end,
}
