local Ranking = require("appmgr.planner.engine.ranking")
local generator = require("appmgr.workbench.random").new

describe("a ranking", function()
  it("has the highest score on top, and of equal ones the lowest number", function()
    local ranking = Ranking.new()
    assert.is_nil(ranking:top())
    for id, score in ipairs({ 3, 7, 7, 1 }) do ranking:put(id, score) end
    assert.same({ 2, 7 }, { ranking:top() })
    ranking:remove(2)
    assert.same({ 3, 7 }, { ranking:top() })
    ranking:put(4, math.huge)
    assert.same({ 4, math.huge }, { ranking:top() })
    ranking:put(4, 2.5)
    assert.same({ 3, 7 }, { ranking:top() })
    ranking:remove(99)
    assert.equal(3, ranking.size)
  end)

  it("keeps its order whatever is changed", function()
    for seed = 1, 60 do
      local random, ranking, scores = generator(seed), Ranking.new(), {}
      for _ = 1, 300 do
        local id = 300 * random(0, 60)
        if random(1, 3) == 1 then
          scores[id] = nil
          ranking:remove(id)
        else
          -- Few different scores with some seeds, many with others.
          scores[id] = random(1, seed % 2 == 0 and 5 or 1000) / 4
          ranking:put(id, scores[id])
        end
        local best
        for other, score in pairs(scores) do
          if not best or score > scores[best] or score == scores[best] and other < best then best = other end
        end
        assert.same({ best, scores[best or -1] }, { ranking:top() }, "seed " .. seed)
      end
    end
  end)
end)
