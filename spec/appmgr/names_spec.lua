local names = require("appmgr.names")

describe("names", function()
  it("accepts letters, digits, dot, underscore and hyphen", function()
    for _, name in ipairs({ "web", "web-1", "a.b", "A_b", "0", "-x", ("n"):rep(128) }) do
      assert.is_true(names.check(name), name)
    end
  end)

  it("refuses what a key, a file or a command line would misread, and says what is wrong", function()
    local refused = {
      [""] = "empty", ["a/b"] = 'holds "/"', ["a b"] = 'holds " "', ["a#2"] = 'holds "#"', [".."] = "must not be",
      ["."] = "must not be", ["a..b"] = "must not be", ["é"] = 'holds "é"', [("n"):rep(129)] = "129 bytes",
    }
    for name, text in pairs(refused) do
      local ok, reason = names.check(name, "task name")
      assert.is_nil(ok, name)
      assert.truthy(reason:find(text, 1, true), reason)
      assert.truthy(reason:find("task name", 1, true), reason)
    end
  end)

  it("shows whole characters, and never bytes that are no text", function()
    assert.truthy(select(2, names.check("aé")):find('"aé" holds "é"', 1, true))
    local _, long = names.check(("n"):rep(39) .. ("é"):rep(50))
    assert.truthy(utf8.len(long), long)
    local _, broken = names.check("a\xff\n\27[31mb")
    assert.truthy(utf8.len(broken), broken)
    assert.is_nil(broken:find("%c"), broken)
  end)

  it("refuses what is no string", function()
    assert.same({ nil, "name must be a string, not number" }, { names.check(7) })
  end)

  it("allows a slash in a label", function()
    assert.is_true(names.check_label("example.org/rack"))
    assert.is_nil(names.check_label("a=b"))
  end)
end)
