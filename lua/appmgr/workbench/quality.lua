--- How good a placement is, in a few numbers.
local M = {}

-- The standard deviation as a share of the mean: 0 when all are the same.
local function variation(values)
  if #values == 0 then return 0 end
  local sum, squares = 0, 0
  for _, value in ipairs(values) do sum, squares = sum + value, squares + value * value end
  local mean = sum / #values
  if mean == 0 then return 0 end
  return math.sqrt(math.max(0, squares / #values - mean * mean)) / mean
end

local function share(part, whole)
  return whole > 0 and part / whole or 0
end

--- Measures what stands in an arena.
-- @tparam Arena arena
-- @treturn table `placed`, `pending` (replicas), `nodes`, `nodes_used`, `imbalance` (variation of the replicas on the
--   nodes), `utilisation` (name → share of what the nodes in use have that replicas asked for)
function M.of(arena)
  local counts, used, available, nodes_used, placed = {}, {}, {}, 0, 0
  for _, site in pairs(arena.engine.board.sites) do
    local class = site.node and site.class
    if class then
      counts[#counts + 1], placed = class.replicas, placed + class.replicas
      if class.total > 0 then
        nodes_used = nodes_used + 1
        for name, amount in pairs(site.available) do
          available[name] = (available[name] or 0) + amount
          used[name] = (used[name] or 0) + (class.used[name] or 0)
        end
      end
    end
  end
  local utilisation = {}
  for name, amount in pairs(available) do utilisation[name] = share(used[name], amount) end
  return {
    placed = placed, pending = (arena:pending()), nodes = #counts, nodes_used = nodes_used,
    imbalance = variation(counts), utilisation = utilisation,
  }
end

return M
