--- Numbers in the order of a score: the best first, in O(log n) for each change.
--
-- A binary heap that knows where each of its members stands. Members are whole
-- numbers; of equal scores the lower number comes first.
local Ranking = {}
Ranking.__index = Ranking

--- @treturn Ranking
function Ranking.new()
  return setmetatable({ heap = {}, place = {}, score = {}, size = 0 }, Ranking)
end

local function sink(self, position)
  local heap, place, score, size = self.heap, self.place, self.score, self.size
  local id = heap[position]
  local own = score[id]
  while true do
    local child = 2 * position
    if child > size then break end
    local best = heap[child]
    local best_score = score[best]
    if child < size then
      local other = heap[child + 1]
      local other_score = score[other]
      if other_score > best_score or (other_score == best_score and other < best) then
        child, best, best_score = child + 1, other, other_score
      end
    end
    if own > best_score or (own == best_score and id < best) then break end
    heap[position], place[best] = best, position
    position = child
  end
  heap[position], place[id] = id, position
end

local function rise(self, position)
  local heap, place, score = self.heap, self.place, self.score
  local id = heap[position]
  local own = score[id]
  while position > 1 do
    local parent = position // 2
    local above = heap[parent]
    local above_score = score[above]
    if above_score > own or (above_score == own and above < id) then break end
    heap[position], place[above] = above, position
    position = parent
  end
  heap[position], place[id] = id, position
end

--- The best member.
-- @treturn ?integer nil when there is none
-- @treturn ?number its score
function Ranking:top()
  local id = self.heap[1]
  return id, self.score[id or 0]
end

--- Adds a member without an order; `arrange` has to follow before anything else.
-- @tparam integer id not a member yet
-- @tparam number score not NaN
function Ranking:append(id, score)
  local size = self.size + 1
  self.size, self.heap[size], self.place[id], self.score[id] = size, id, size, score
end

--- Brings all members into order.
function Ranking:arrange()
  for position = self.size // 2, 1, -1 do sink(self, position) end
end

--- Gives a member its score, whether it is there or not.
-- @tparam integer id
-- @tparam number score not NaN
function Ranking:put(id, score)
  local position = self.place[id]
  if not position then
    self:append(id, score)
    return rise(self, self.size)
  end
  local before = self.score[id]
  if score == before then return end
  self.score[id] = score
  if score > before then rise(self, position) else sink(self, position) end
end

--- Takes a member out, if it is there.
-- @tparam integer id
function Ranking:remove(id)
  local position = self.place[id]
  if not position then return end
  local heap, size = self.heap, self.size
  local last = heap[size]
  heap[size], self.place[id], self.size = nil, nil, size - 1
  if position == size then return end
  heap[position], self.place[last] = last, position
  sink(self, position)
  if position > 1 then rise(self, self.place[last]) end
end

return Ranking
