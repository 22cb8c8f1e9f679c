--- A binary heap: the best item first, in O(log n) for each change.
local Heap = {}
Heap.__index = Heap

--- @tparam {any,...} items taken over, becomes the heap
-- @tparam function before (a, b) whether a comes out before b; a total order
-- @treturn Heap
function Heap.new(items, before)
  local self = setmetatable({ items = items, before = before }, Heap)
  for index = #items // 2, 1, -1 do self:sink(index) end
  return self
end

function Heap:sink(index)
  local items, before, count = self.items, self.before, #self.items
  while true do
    local child = 2 * index
    if child > count then return end
    if child < count and before(items[child + 1], items[child]) then child = child + 1 end
    if not before(items[child], items[index]) then return end
    items[index], items[child] = items[child], items[index]
    index = child
  end
end

--- The best item; it stays.
function Heap:top()
  return self.items[1]
end

--- Puts the best item where it belongs after its key changed.
function Heap:settle()
  self:sink(1)
end

--- Takes the best item out.
function Heap:pop()
  local items = self.items
  local best, last = items[1], table.remove(items)
  if #items > 0 then
    items[1] = last
    self:sink(1)
  end
  return best
end

return Heap
