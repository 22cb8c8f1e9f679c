local Heap = require("appmgr.planner.heap")

describe("a heap", function()
  local function drain(heap)
    local list = {}
    while heap:top() do list[#list + 1] = heap:pop() end
    return list
  end

  it("gives its items in order", function()
    for size = 0, 40 do
      local items, expected = {}, {}
      for index = 1, size do items[index], expected[index] = index * 7919 % 41, index * 7919 % 41 end
      table.sort(expected)
      assert.same(expected, drain(Heap.new(items, function(a, b) return a < b end)))
    end
  end)

  it("settles an item whose key changed", function()
    local items = {}
    for index = 1, 9 do items[index] = { key = index } end
    local heap = Heap.new(items, function(a, b) return a.key < b.key end)
    heap:top().key = 5.5
    heap:settle()
    assert.equal(2, heap:pop().key)
    local keys = {}
    for index, item in ipairs(drain(heap)) do keys[index] = item.key end
    assert.same({ 3, 4, 5, 5.5, 6, 7, 8, 9 }, keys)
  end)
end)
