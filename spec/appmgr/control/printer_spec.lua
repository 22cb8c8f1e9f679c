local printer = require("appmgr.control.printer")

local function print_of(...)
  return (printer.format(...))
end

describe("printer.format", function()
  it("prints scalars as Lua reads them", function()
    assert.equal("nil", print_of(nil))
    assert.equal("true", print_of(true))
    assert.equal("42", print_of(42))
    assert.equal("2.0", print_of(2.0))
    assert.equal("1e+300", print_of(1e300))
    assert.equal('"a\\n\\"b\\"\\\\"', print_of('a\n"b"\\'))
    assert.equal('"é"', print_of("é"))
    assert.equal('"\\xff\\x00"', print_of("\xff\0"))
    assert.truthy(print_of(print):match("^<function 0x%x+>$"))
  end)

  it("sorts keys: numbers, words, the rest", function()
    assert.equal('{ 1, 2, [10] = "x", a = 5, ["a b"] = 3, ["end"] = 4, [true] = 6 }',
      print_of({ 1, 2, [10] = "x", a = 5, ["a b"] = 3, ["end"] = 4, [true] = 6 }))
    assert.equal("{}", print_of({}))
  end)

  it("lays out what is too wide for a line", function()
    assert.equal('{\n  a = "' .. ("x"):rep(60) .. '",\n  b = "' .. ("y"):rep(60) .. '"\n}',
      print_of({ a = ("x"):rep(60), b = ("y"):rep(60) }))
  end)

  it("lets short members share lines", function()
    local list = {}
    for i = 1, 60 do list[i] = i end
    local text = print_of(list)
    assert.equal(5, select(2, text:gsub("\n", "\n")) + 1)
  end)

  it("ends at cycles and shows shared tables twice", function()
    local shared = { 1 }
    local value = { a = shared, b = shared }
    value.self = value
    assert.equal("{ a = { 1 }, b = { 1 }, self = <the table around it> }", print_of(value))
  end)

  it("cuts what is deep, long or large, and says so", function()
    local text, cut = printer.format({ a = { b = { c = { d = { e = 1 } } } } })
    assert.equal("{ a = { b = { c = { d = {…} } } } }", text)
    assert.is_true(cut)
    assert.equal("{ a = { b = {…} } }", print_of({ a = { b = { c = { d = 1 } } } }, 2))
    text, cut = printer.format({ 1, 2, 3 }, 3, 2)
    assert.equal("{ 1, 2, … 1 more }", text)
    assert.is_true(cut)
    assert.truthy(print_of(("x"):rep(5000)):find('" … 3000 more bytes', 1, true))
    assert.is_false(select(2, printer.format({ 1 })))
  end)

  it("calls no metamethod", function()
    local trap = function() error("called") end
    local value = setmetatable({ 1 }, {
      __index = trap, __len = trap, __pairs = trap, __tostring = trap, __name = "x", __eq = trap, __lt = trap,
    })
    assert.equal("{ 1 }", print_of(value))
    assert.truthy(print_of({ [value] = 1 }):find("^{ %[<table 0x%x+>%] = 1 }$"))
  end)

  it("survives holes", function()
    assert.truthy(print_of({ 1, nil, 3 }):find("3", 1, true))
    local mixed = { [1] = 1, [3] = 3, [1.5] = 2 }
    assert.equal("{ 1, [1.5] = 2, [3] = 3 }", print_of(mixed))
  end)
end)
