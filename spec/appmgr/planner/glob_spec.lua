local glob = require("appmgr.planner.glob")

describe("glob.matches", function()
  it("takes * for any text and all else for itself", function()
    for _, case in ipairs({
      { "a", "a", true }, { "a", "b", false }, { "", "", true }, { "*", "", true }, { "*", "anything", true },
      { "a*", "a", true }, { "a*", "abc", true }, { "a*", "ba", false }, { "*c", "abc", true }, { "*c", "cb", false },
      { "a*c", "ac", true }, { "a*c", "abc", true }, { "a*a", "a", false }, { "a*b*c", "axbyc", true },
      { "a*b*c", "acb", false }, { "*b*", "abc", true }, { "*b*b*", "abc", false }, { "**", "x", true },
      { "a.c", "abc", false }, { "%a", "b", false }, { "[ab]*", "[ab]c", true }, { "A", "a", false },
      { "ab*bc", "abc", false }, { "a*bb*b", "abbb", true }, { "a*bb*b", "abb", false },
    }) do
      assert.equal(case[3], glob.matches(case[1], case[2]), case[1] .. " on " .. case[2])
    end
  end)

  it("does not take for ever on a pattern made for that", function()
    assert.is_false(glob.matches(("a*"):rep(120) .. "b", ("a"):rep(250)))
  end)
end)
