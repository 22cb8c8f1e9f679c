--- A set of whole numbers from 0 that knows its lowest member: bits, 64 to a
-- word, under a second layer that says which words have any.
--
-- Words stand at 0, 1, 2 …, those of the second layer at -1, -2 ….
local M = {}

-- The place of the only bit of a word.
local PLACE = {}
for place = 0, 63 do PLACE[1 << place] = place end

--- Adds a member.
-- @tparam table set any table that holds nothing else
-- @tparam integer id
function M.add(set, id)
  local index = id >> 6
  local word = set[index] or 0
  if word == 0 then
    local upper = -1 - (index >> 6)
    set[upper] = (set[upper] or 0) | 1 << (index & 63)
  end
  set[index] = word | 1 << (id & 63)
end

--- Takes a member out.
-- @tparam table set
-- @tparam integer id a member
function M.remove(set, id)
  local index = id >> 6
  local word = set[index] & ~(1 << (id & 63))
  set[index] = word
  if word ~= 0 then return end
  local upper = -1 - (index >> 6)
  set[upper] = set[upper] & ~(1 << (index & 63))
end

--- The lowest member.
-- @tparam table set
-- @tparam integer last number of the last word of the second layer that may be there, from 0
-- @treturn ?integer nil when there is none
function M.first(set, last)
  for number = 0, last do
    local upper = set[-1 - number]
    if upper and upper ~= 0 then
      local index = number << 6 | PLACE[upper & -upper]
      local word = set[index]
      return index << 6 | PLACE[word & -word]
    end
  end
  return nil
end

return M
