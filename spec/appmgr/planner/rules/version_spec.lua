local version = require("appmgr.planner.rules.version")

local function compare(a, b)
  return version.compare(assert(version.read(a)), assert(version.read(b)))
end

describe("rules.version", function()
  it("knows which is later", function()
    local rising = {
      "0", "0.9", "1.2.3-alpha", "1.2.3-alpha.1", "1.2.3-beta.2", "1.2.3-beta.11", "1.2.3-rc1", "1.2.3", "1.9", "1.10",
      "1.10.1", "2", "10", "99999999999999999999999999", "100000000000000000000000000",
    }
    for first = 1, #rising do
      for second = 1, #rising do
        local expected = first < second and -1 or first > second and 1 or 0
        assert.equal(expected, compare(rising[first], rising[second]), rising[first] .. " and " .. rising[second])
      end
    end
  end)

  it("takes what is written differently for the same", function()
    for _, pair in ipairs({
      { "1", "1.0.0" }, { "v1.2", "1.2" }, { "1.02", "1.2" }, { "5.10.0-21-amd64", "5.10.0" }, { "1.2+build.7", "1.2" },
      { "1.2.rc1", "1.2-rc1" }, { " 3 ", "3" }, { "1.2.3ubuntu4", "1.2.3" }, { "1.2-rc1+b", "1.2-rc1" },
    }) do
      assert.equal(0, compare(pair[1], pair[2]), pair[1] .. " and " .. pair[2])
    end
  end)

  it("reads nothing that is no version", function()
    for _, text in ipairs({ "", "abc", ".1", "1..2", "1.", "-1", "1 2", "1,2", ("1."):rep(1000) .. "1" }) do
      assert.is_nil(version.read(text), text)
    end
    assert.is_nil(version.read(7))
    assert.is_nil(version.read(nil))
  end)

  it("checks against what is wanted", function()
    local function meets(text, wanted) return version.meets(version.read(text), assert(version.read_wanted(wanted))) end
    assert.is_true(meets("1.10", ">= 1.9"))
    assert.is_true(meets("1.10", ">= 1.9, < 2"))
    assert.is_false(meets("2.0", ">= 1.9, < 2"))
    assert.is_true(meets("1.2.0", "1.2"))
    assert.is_true(meets("1.2", "!= 1.3"))
    assert.is_true(meets("1.2", "<= 1.2,>1.1"))
    assert.is_false(meets("2.0-rc1", ">= 2"))
  end)

  it("refuses what cannot be compared with", function()
    for _, text in ipairs({ "", " ", ">=", ">= abc", "~> 1.2", "=> 1", "1.2,", "a, b" }) do
      local wanted, reason = version.read_wanted(text)
      assert.is_nil(wanted, text)
      assert.is_string(reason)
    end
    assert.is_nil((version.read_wanted({})))
    assert.is_nil((version.read_wanted(("1,"):rep(1000))))
  end)

  it("has one text for all ways to write it", function()
    assert.equal(version.read_wanted("<2,>=1.9").text, version.read_wanted(" >= 1.9 , < 2 ").text)
  end)
end)
