--- The nearest known word to one that is not known.
local M = {}

-- Edit distance with transpositions (`comamnd`), the mistakes fingers make.
local function distance(a, b)
  local before, above = nil, {}
  for column = 0, #b do above[column] = column end
  for row = 1, #a do
    local current = { [0] = row }
    for column = 1, #b do
      local same = a:byte(row) == b:byte(column)
      local best = math.min(above[column] + 1, current[column - 1] + 1, above[column - 1] + (same and 0 or 1))
      if row > 1 and column > 1 and a:byte(row) == b:byte(column - 1) and a:byte(row - 1) == b:byte(column) then
        best = math.min(best, before[column - 2] + 1)
      end
      current[column] = best
    end
    before, above = above, current
  end
  return above[#b]
end

local function plain(word)
  return (word:lower():gsub("[-_ ]", ""))
end

--- The candidate that was most likely meant. Case, `-` and `_` do not count.
-- @tparam string word what was written
-- @tparam {string,...} candidates what is known
-- @treturn ?string the nearest candidate, nil when none is near
function M.nearest(word, candidates)
  if #word > 64 then return nil end
  local best, best_distance
  local limit = math.max(1, #word // 3)
  for _, candidate in ipairs(candidates) do
    local d = distance(plain(word), plain(candidate))
    if d <= limit and (not best or d < best_distance or (d == best_distance and candidate < best)) then
      best, best_distance = candidate, d
    end
  end
  return best
end

--- The end of a message about an unknown word.
-- @tparam string word what was written
-- @tparam {string,...} candidates what is known
-- @treturn string `did you mean "x"?`, or the list of what is known
function M.hint(word, candidates)
  local nearest = M.nearest(word, candidates)
  if nearest then
    return ("did you mean \"%s\"?"):format(nearest)
  end
  local sorted = table.move(candidates, 1, #candidates, 1, {})
  table.sort(sorted)
  return "known are " .. table.concat(sorted, ", ")
end

return M
