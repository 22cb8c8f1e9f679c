--- Numbers in the order of a score: the best first; of equal scores the lower
-- number.
--
-- Where nodes are alike so are their scores: members stand in buckets by their
-- score, and a heap orders the scores. So a change costs little when there are few
-- different scores, and O(log n) when all are different. A bucket is a set, or a single number, or false when all have
-- left it: then it stays for whoever comes next, until it is the best one.
local id_set = require("appmgr.planner.engine.id_set")

local Ranking = {}
Ranking.__index = Ranking

--- @treturn Ranking `score` (by member), `size`
function Ranking.new()
  return setmetatable({
    score = {}, size = 0, single = {}, sets = {}, heap = {}, heap_size = 0, last = 0,
  }, Ranking)
end

local function sink(heap, size, position)
  local own = heap[position]
  while true do
    local child = 2 * position
    if child > size then break end
    local best = heap[child]
    if child < size and heap[child + 1] > best then
      child = child + 1
      best = heap[child]
    end
    if own >= best then break end
    heap[position] = best
    position = child
  end
  heap[position] = own
end

local function push(self, score)
  local heap, position = self.heap, self.heap_size + 1
  self.heap_size = position
  while position > 1 do
    local parent = position // 2
    if heap[parent] >= score then break end
    heap[position] = heap[parent]
    position = parent
  end
  heap[position] = score
end

-- Scores that nobody has any more, and that do not come to the top, are thrown out now and then.
local function sweep(self)
  local heap, size, sets, single = {}, 0, self.sets, self.single
  for _, score in ipairs(self.heap) do
    local set = sets[score]
    if single[score] or set and id_set.first(set, self.last) then
      size = size + 1
      heap[size] = score
    else
      sets[score], single[score] = nil, nil
    end
  end
  for position = size // 2, 1, -1 do sink(heap, size, position) end
  self.heap, self.heap_size = heap, size
end

local function queue(self, score)
  local heap, best = self.heap, self.heap[1]
  -- Mostly it is the best one that gets another score: then its place is free.
  if best and self.single[best] == false then
    self.single[best], heap[1] = nil, score
    return sink(heap, self.heap_size, 1)
  end
  if self.heap_size > 2 * self.size + 64 then sweep(self) end
  push(self, score)
end

-- Puts a member into the bucket of its score; true where the score is a new one.
local function join(self, id, score)
  local set = self.sets[score]
  if set then
    id_set.add(set, id)
    return false
  end
  local single = self.single
  local only = single[score]
  if only then
    set = {}
    id_set.add(set, only)
    id_set.add(set, id)
    self.sets[score], single[score] = set, nil
    return false
  end
  single[score] = id
  return only == nil
end

local function leave(self, id, score)
  local set = self.sets[score]
  if set then id_set.remove(set, id) else self.single[score] = false end
end

--- Ranks many at once, which costs less than one after the other.
-- @tparam {integer,...} ids
-- @tparam {number,...} scores one for each
-- @treturn Ranking
function Ranking.of(ids, scores)
  local self = Ranking.new()
  local score_of, heap, size, highest = self.score, self.heap, 0, 0
  for position = 1, #ids do
    local id, score = ids[position], scores[position]
    score_of[id] = score
    if id > highest then highest = id end
    if join(self, id, score) then
      size = size + 1
      heap[size] = score
    end
  end
  for position = size // 2, 1, -1 do sink(heap, size, position) end
  self.size, self.heap_size, self.last = #ids, size, highest >> 12
  return self
end

local function drop_best(self)
  local heap, size = self.heap, self.heap_size - 1
  local score = heap[1]
  self.sets[score], self.single[score], self.heap_size = nil, nil, size
  heap[1] = heap[size + 1]
  heap[size + 1] = nil
  if size > 1 then sink(heap, size, 1) end
end

--- The best member.
-- @treturn ?integer nil when there is none
-- @treturn ?number its score
function Ranking:top()
  local heap, sets = self.heap, self.sets
  while self.heap_size > 0 do
    local score = heap[1]
    local set = sets[score]
    local id = self.single[score] or set and id_set.first(set, self.last)
    if id then return id, score end
    drop_best(self)
  end
  return nil
end

--- Gives a member its score, whether it is there or not.
-- @tparam integer id from 0
-- @tparam number score not NaN
function Ranking:put(id, score)
  local before = self.score[id]
  if before == score then return end
  if before then
    leave(self, id, before)
  else
    self.size = self.size + 1
    if id >> 12 > self.last then self.last = id >> 12 end
  end
  self.score[id] = score
  if join(self, id, score) then queue(self, score) end
end

--- Takes a member out, if it is there.
-- @tparam integer id
function Ranking:remove(id)
  local before = self.score[id]
  if not before then return end
  self.score[id], self.size = nil, self.size - 1
  leave(self, id, before)
end

return Ranking
