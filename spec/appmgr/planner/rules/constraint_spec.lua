local constraint = require("appmgr.planner.rules.constraint")

local function node(labels, capacity)
  return { name = "n1", hostname = "host-1", labels = labels or {}, capacity = capacity or {} }
end

local function compile(constraints, condition)
  return constraint.compile({ constraints = constraints, condition = condition or {} })
end

describe("rules.constraint", function()
  it("asks for nothing where nothing stands", function()
    local compiled = constraint.compile({})
    assert.equal("", compiled.key)
    assert.same({}, compiled.labels)
    assert.is_nil(compiled.check(node()))
    assert.same({}, compiled.check_all(node()))
  end)

  it("checks the condition", function()
    local compiled = compile(nil, { zone = "a*" })
    assert.is_nil(compiled.check(node({ zone = "a1" })))
    assert.same({ code = "condition", args = { label = "zone", pattern = "a*", value = "b" } },
      compiled.check(node({ zone = "b" })))
    assert.same({ code = "condition_missing", args = { label = "zone", pattern = "a*" } }, compiled.check(node()))
  end)

  it("checks constraints over labels, resources and names", function()
    local compiled = compile({
      { attribute = "label.zone", operator = "in", value = { "b", "a" } },
      { attribute = "resource.gpu", operator = ">=", value = 2 },
      { attribute = "node.name", operator = "!=", value = "n9" },
      { attribute = "node.hostname", operator = "glob", value = "host-*" },
    })
    assert.same({ "zone" }, compiled.labels)
    assert.is_nil(compiled.check(node({ zone = "a" }, { gpu = 2 })))
    assert.same({
      { code = "constraint", args = { attribute = "label.zone", wanted = "in (a, b)", value = "c" } },
      { code = "constraint_missing", args = { attribute = "resource.gpu", wanted = ">= 2" } },
    }, compiled.check_all(node({ zone = "c" })))
    assert.same("constraint", compiled.check(node({ zone = "a" }, { gpu = 1 })).code)
  end)

  it("says what it asks for in words", function()
    local function wanted(operator, value)
      return compile({ { attribute = "label.x", operator = operator, value = value } }).check(node({ x = "-" })).args.wanted
    end
    assert.equal("= a", wanted("=", "a"))
    assert.equal("not_in (-, a)", wanted("not_in", { "a", "-" }))
    assert.equal("version >= 1.9", wanted("version", ">=1.9"))
    assert.equal("is_not_set", wanted("is_not_set"))
  end)

  it("has one key for equal sets, in whatever order, as often as they stand there", function()
    local a = { attribute = "label.a", operator = "=", value = 4 }
    local a_again = { attribute = "label.a", operator = "=", value = "4" }
    local b = { attribute = "label.b", operator = "in", value = { "x", "y" } }
    local b_again = { attribute = "label.b", operator = "in", value = { "y", "x", "y" } }
    assert.equal(compile({ a, b }).key, compile({ b_again, a_again, a }).key)
    local other = node({ a = "5", b = "z" })
    assert.same(compile({ a, b }).check(other), compile({ b_again, a_again, a }).check(other))
  end)

  it("has different keys for different sets, whatever bytes they hold", function()
    local seen = {}
    for _, constraints in ipairs({
      {}, { { attribute = "label.a", operator = "=", value = "b" } }, { { attribute = "label.a", operator = "!=", value = "b" } },
      { { attribute = "label.a", operator = "=", value = "b,c" } }, { { attribute = "label.a", operator = "=", value = "b;c" } },
      { { attribute = "label.a", operator = "in", value = { "b,c" } } },
      { { attribute = "label.a", operator = "in", value = { "b", "c" } } },
      { { attribute = "label.a", operator = "in", value = { "b, c" } } },
      { { attribute = "label.a", operator = "is_set" } }, { { attribute = "resource.a", operator = "is_set" } },
    }) do
      local key = compile(constraints).key
      assert.is_nil(seen[key], key)
      seen[key] = true
    end
    assert.are_not.equal(compile(nil, { a = "b" }).key, compile({ { attribute = "label.a", operator = "glob", value = "b" } }).key)
  end)
end)
