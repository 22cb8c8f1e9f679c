local patterns = require("appmgr.control.lua_patterns")

local SUBJECTS = {
  "", "a", "hello world", "key = value", "  trim me  ", "2026-11-23 17:30:00", "(a(b)c)(d", "aaa", "f(x) = [y]", "%d+", "a.b.c",
  "THE (quick) fox", "one,two,,three", "\0\1\255", "x=1, y=2", "abcabc", "hello hello",
}

local PATTERNS = {
  "", "a", "a*", "a+", "a-", "a?", ".", ".-", ".*", "%a+", "%s*$", "^%s+", "^(.-)%s*$", "(%w+) = (%w+)", "(%d+)-(%d+)-(%d+)",
  "%b()", "%f[%w]%w+", "%f[%W]", "(%a)(%a)%2", "(%w+) %1", "()ll()", "[a-c]+", "[^a-c]+", "[%w_]+", "[]]", "[^]]", "[%]%[]",
  "%.", "%%d", "^a", "^", "$", "a$", "^$", "x?y?z?", "(a)(b)(c)", "((a)(b))", "[a-]", "%z", "(", ")", "%", "[a", "%b", "%f", "%1",
  "(a", "a)", "(()", "[%", "^*", "a**", ",", "[^,]*", "%x%x", "%u+",
}

local REPLACEMENTS = { "<%0>", "%1", "%%", "x", 7, "%2", "%9", "%", { hello = "bye", a = false, [1] = "one" }, string.upper }

-- The results of a call with all its values; for an error its text without the place.
local function outcome(fn, ...)
  local results = table.pack(pcall(fn, ...))
  if not results[1] then results[2] = tostring(results[2]):gsub("^[^:]+:%d+: ", ""):gsub(" in pattern.*", "") end
  return results
end

local function all_of(gmatch)
  return function(...)
    local list = {}
    for a, b in gmatch(...) do
      list[#list + 1] = { a, b }
      assert(#list < 1000)
    end
    return list
  end
end

describe("patterns written in Lua", function()
  it("find, match, gmatch and gsub as C does, errors included", function()
    for _, subject in ipairs(SUBJECTS) do
      for _, pattern in ipairs(PATTERNS) do
        local what = ("%q %q"):format(subject, pattern)
        for _, init in ipairs({ 1, 3, -2, 0, 50 }) do
          assert.same(outcome(string.find, subject, pattern, init), outcome(patterns.find, subject, pattern, init), what)
          assert.same(outcome(string.match, subject, pattern, init), outcome(patterns.match, subject, pattern, init), what)
        end
        assert.same(outcome(all_of(string.gmatch), subject, pattern), outcome(all_of(patterns.gmatch), subject, pattern), what)
      end
    end
  end)

  it("replace as C does", function()
    for _, subject in ipairs(SUBJECTS) do
      for _, pattern in ipairs(PATTERNS) do
        for _, replacement in ipairs(REPLACEMENTS) do
          for _, limit in ipairs({ 0, 1, 2, 100 }) do
            assert.same(outcome(string.gsub, subject, pattern, replacement, limit),
              outcome(patterns.gsub, subject, pattern, replacement, limit), ("%q %q %q"):format(subject, pattern, tostring(replacement)))
          end
        end
      end
    end
  end)

  it("find plain text", function()
    assert.same({ 2, 4 }, { patterns.find("a.*b", ".*b", 1, true) })
    assert.is_nil(patterns.find("abc", "x", 1, true))
  end)

  it("can be interrupted in the middle of a match", function()
    local steps = 0
    local thread = coroutine.create(function() return patterns.find(("a"):rep(200), ("a*"):rep(20) .. "b") end)
    debug.sethook(thread, function()
      steps = steps + 1
      if steps > 100 then error("interrupted", 0) end
    end, "", 1000)
    local ok, err = coroutine.resume(thread)
    assert.is_false(ok)
    assert.equal("interrupted", err)
  end)
end)
