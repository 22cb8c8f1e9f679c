local operators = require("appmgr.planner.rules.operators")

local function holds(operator, actual, value)
  return operators.holds(operator, actual, assert(operators.read_value(operator, value)))
end

describe("rules.operators", function()
  it("compares text", function()
    assert.is_true(holds("=", "a", "a"))
    assert.is_false(holds("=", "b", "a"))
    assert.is_true(holds("=", "4", 4))
    assert.is_true(holds("=", 4, "4"))
    assert.is_true(holds("=", 4, 4.0))
    assert.is_true(holds("=", "true", true))
    assert.is_true(holds("!=", "b", "a"))
    assert.is_false(holds("!=", "a", "a"))
  end)

  it("compares numbers as numbers", function()
    assert.is_true(holds(">", "10", 9))
    assert.is_true(holds(">", 10, "9"))
    assert.is_false(holds("<", "10", 9))
    assert.is_true(holds("<=", "1.5", 1.5))
    assert.is_true(holds(">=", "-3", -3))
    assert.is_true(holds("<", 9007199254740992, 9007199254740993))
    assert.is_true(holds("<", "1" .. ("0"):rep(100), "2" .. ("0"):rep(100)))
  end)

  it("takes a value that is no number for one that does not meet", function()
    for _, actual in ipairs({ "many", "", "nan", "inf", "0x10", "1e3", "1 ", ("9"):rep(1000), 0 / 0, math.huge }) do
      assert.is_false(holds(">", actual, 0), tostring(actual))
      assert.is_false(holds("<=", actual, 0), tostring(actual))
    end
  end)

  it("looks into lists", function()
    assert.is_true(holds("in", "b", { "a", "b" }))
    assert.is_true(holds("in", "4", { 4 }))
    assert.is_false(holds("in", "c", { "a", "b" }))
    assert.is_true(holds("not_in", "c", { "a", "b" }))
    assert.is_false(holds("not_in", "a", { "a", "b" }))
  end)

  it("matches patterns and versions", function()
    assert.is_true(holds("glob", "web-7", "web-*"))
    assert.is_false(holds("glob", "db-7", "web-*"))
    assert.is_true(holds("glob", 4000, "4*"))
    assert.is_true(holds("version", "1.10", ">= 1.9"))
    assert.is_false(holds("version", "unknown", ">= 1.9"))
    assert.is_true(holds("version", 5, ">= 4.2"))
    assert.is_true(holds("version", "2", 2))
  end)

  it("says what it means that a node has no value", function()
    local values = { ["in"] = { "a" }, not_in = { "a" }, glob = "*", version = "1", is_set = false, is_not_set = false }
    local met = {}
    for _, name in ipairs(operators.NAMES) do
      local value = values[name]
      if value == nil then value = 1 end
      if operators.holds(name, nil, assert(operators.read_value(name, value or nil))) then met[#met + 1] = name end
    end
    assert.same({ "!=", "not_in", "is_not_set" }, met)
    assert.is_true(holds("is_set", "", nil))
    assert.is_false(holds("is_not_set", "", nil))
  end)

  it("comes to an end with patterns that would make others backtrack", function()
    local text = ("a"):rep(20000)
    local pattern = ("a*"):rep(127) .. "b"
    assert.is_false(holds("glob", text, pattern))
  end)

  it("refuses values that cannot be used, and says why", function()
    local function reason(operator, value)
      local read, why = operators.read_value(operator, value)
      assert.is_nil(read)
      return why
    end
    for _, nonsense in ipairs({ {}, { a = 1 }, 0 / 0, math.huge, ("x"):rep(257) }) do
      for _, name in ipairs({ "=", "!=", "<", "glob", "version", "is_set" }) do assert.is_string(reason(name, nonsense)) end
    end
    assert.truthy(reason("<", "abc"):find("number", 1, true))
    assert.truthy(reason("<", "1.2.3"):find("version", 1, true))
    assert.truthy(reason("in", "a"):find("array", 1, true))
    assert.truthy(reason("in", {}):find("array", 1, true))
    assert.truthy(reason("in", { "a", {} }):find("entry 2", 1, true))
    assert.truthy(reason("version", "new"):find("version", 1, true))
    assert.truthy(reason("glob", ""):find("is_not_set", 1, true))
    assert.truthy(reason("is_set", "a"):find("takes none", 1, true))
    local many = {}
    for position = 1, 257 do many[position] = "x" .. position end
    assert.truthy(reason("in", many):find("257", 1, true))
  end)

  it("refuses operators that do not exist", function()
    assert.is_true(operators.check("not_in"))
    local known, reason = operators.check("notin")
    assert.is_nil(known)
    assert.truthy(reason:find('did you mean "not_in"', 1, true))
    for _, nonsense in ipairs({ "", "==", 7, {}, ("x"):rep(1000) }) do
      known, reason = operators.check(nonsense)
      assert.is_nil(known)
      assert.truthy(#reason < 300)
    end
    assert.is_nil((operators.check(nil)))
  end)
end)
