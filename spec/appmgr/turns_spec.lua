local Turns = require("appmgr.turns")

describe("work in turns", function()
  local turns, later, now, done

  before_each(function()
    later, now, done = {}, 0, 0
    turns = Turns.new({ defer = function(fn) later[#later + 1] = fn end, now_ms = function() return now end })
  end)

  local function finish() done = done + 1 end

  --- `count` steps, each of which takes a while.
  local function work(count, takes_ms)
    local taken = { count = 0 }
    function taken.step()
      taken.count, now = taken.count + 1, now + takes_ms
      return taken.count < count
    end
    return taken
  end

  it("that is short is done at once", function()
    local short = work(5, 0)
    turns:run(short.step, finish)
    assert.same({ 5, 1, 0, false }, { short.count, done, #later, turns:is_busy() })
  end)

  it("that is long gives the loop its turn, and goes on where it was", function()
    local long = work(20, 2)
    turns:run(long.step, finish)
    assert.same({ 8, 0, 1, true }, { long.count, done, #later, turns:is_busy() })
    later[1]()
    assert.same({ 16, 0, 2 }, { long.count, done, #later })
    later[2]()
    assert.same({ 20, 1, 2, false }, { long.count, done, #later, turns:is_busy() })
  end)

  it("is given up for other work, and when it is cancelled", function()
    local first, second = work(100, 2), work(12, 2)
    turns:run(first.step, finish)
    turns:run(second.step, finish)
    later[1]()
    assert.equal(8, first.count)
    later[2]()
    assert.same({ 12, 1 }, { second.count, done })
    turns:run(work(100, 2).step, finish)
    turns:cancel()
    later[3]()
    assert.same({ 1, false, 3 }, { done, turns:is_busy(), #later })
  end)

  it("may begin other work in a step", function()
    local second = work(3, 0)
    turns:run(function()
      turns:run(second.step, finish)
      return true
    end, function() error("given up") end)
    assert.same({ 3, 1 }, { second.count, done })
  end)
end)
