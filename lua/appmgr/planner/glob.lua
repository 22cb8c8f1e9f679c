--- Patterns with `*` for labels. Matched piece by piece from the left, so no
-- pattern takes longer than its text times its pieces.
local M = {}

--- Whether a text matches.
-- @tparam string pattern `*` stands for any text, also none; all else for itself
-- @tparam string text
-- @treturn boolean
function M.matches(pattern, text)
  local first = pattern:find("*", 1, true)
  if not first then
    return pattern == text
  end
  local last = #pattern - pattern:reverse():find("*", 1, true) + 1
  local head, tail = pattern:sub(1, first - 1), pattern:sub(last + 1)
  if #text < #head + #tail or text:sub(1, #head) ~= head or text:sub(#text - #tail + 1) ~= tail then
    return false
  end
  local position, stop = #head + 1, #text - #tail
  for piece in pattern:sub(first, last):gmatch("[^*]+") do
    local from, to = text:find(piece, position, true)
    if not from or to > stop then return false end
    position = to + 1
  end
  return true
end

return M
