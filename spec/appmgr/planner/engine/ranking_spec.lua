local Ranking = require("appmgr.planner.engine.ranking")
local generator = require("spec.support.random")

describe("a ranking", function()
  it("has the highest score on top, and of equal ones the lowest number", function()
    local ranking = Ranking.new()
    assert.is_nil(ranking:top())
    for id, score in ipairs({ 3, 7, 7, 1 }) do ranking:append(id, score) end
    ranking:arrange()
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
    for seed = 1, 50 do
      local random, ranking, scores = generator(seed), Ranking.new(), {}
      for _ = 1, 200 do
        local id = random(1, 20)
        if random(1, 3) == 1 then
          scores[id] = nil
          ranking:remove(id)
        else
          scores[id] = random(1, 9)
          ranking:put(id, scores[id])
        end
        local best
        for other = 1, 20 do
          if scores[other] and (not best or scores[other] > scores[best]) then best = other end
        end
        assert.equal(best, (ranking:top()), "seed " .. seed)
      end
    end
  end)
end)
