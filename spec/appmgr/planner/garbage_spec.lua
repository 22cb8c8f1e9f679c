require("spec.support.core")

describe("the pace of looking for garbage", function()
  local used_kb, asked

  local function pause_at(kb)
    used_kb = kb
    local chunk = assert(loadfile("lua/appmgr/planner/garbage.lua", "t", {
      math = math, collectgarbage = function(what, pause)
        if what == "count" then return used_kb + 0.5 end
        asked = { what, pause }
      end,
    }))
    chunk().pace()
    assert.equal("incremental", asked[1])
    return asked[2]
  end

  it("is quick where little is in use, and slower where much is that stays", function()
    assert.equal(130, pause_at(2000))
    assert.equal(1000, pause_at(20 * 1024))
    assert.equal(526, pause_at(60 * 1024 - 1))
    assert.equal(400, pause_at(700 * 1024))
  end)
end)
