--- One cluster, made up, for the planner and for Pacemaker's: nodes of two sizes, resources of four.
local M = {}

--- @tparam integer count
-- @treturn {table,...} `name`, `cpu` (millicores), `memory_mb`
function M.nodes(count)
  local list = {}
  for number = 1, count do
    local size = number % 2 + 1
    list[number] = { name = ("n%05d"):format(number), cpu = 32000 * size, memory_mb = 131072 * size }
  end
  return list
end

--- @tparam integer count
-- @treturn {table,...} `name`, `cpu`, `memory_mb`
function M.tasks(count)
  local list = {}
  for number = 1, count do
    local size = 1 << number % 4
    list[number] = { name = ("t%05d"):format(number), cpu = 100 * size, memory_mb = 128 * size }
  end
  return list
end

return M
