--- Numbers by chance from a seed: a generator of our own, the same on every machine and Lua version.
-- @tparam integer seed
-- @treturn function(low, high) → integer
return function(seed)
  local state = seed * 2654435761 % 4294967296
  return function(low, high)
    state = (state * 1664525 + 1013904223) % 4294967296
    return low + (state >> 8) % (high - low + 1)
  end
end
