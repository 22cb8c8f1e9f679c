--- Numbers by chance that a seed brings back: the same ones on every machine.
--
-- The generator of Numerical Recipes (a linear congruence modulo 2^32); good enough to make up clusters, and for
-- nothing else.
local M = {}

--- @tparam integer seed
-- @treturn function(low, high) → an integer from low to high
function M.new(seed)
  local state = seed * 2654435761 % 4294967296
  return function(low, high)
    state = (state * 1664525 + 1013904223) % 4294967296
    return low + (state >> 8) % (high - low + 1)
  end
end

--- One of a list.
-- @tparam function random from `new`
-- @tparam table list
function M.one_of(random, list)
  return list[random(1, #list)]
end

--- The list in another order.
-- @tparam function random from `new`
-- @tparam table list not changed
-- @treturn table
function M.shuffled(random, list)
  local result = table.move(list, 1, #list, 1, {})
  for position = #result, 2, -1 do
    local other = random(1, position)
    result[position], result[other] = result[other], result[position]
  end
  return result
end

return M
