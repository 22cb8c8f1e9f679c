local globals = require("appmgr.workbench.globals")

local function listed(text)
  local list = {}
  for _, use in ipairs(assert(globals.uses(text, "mine.lua"))) do
    local name = use.member and use.name .. "." .. use.member or use.name
    list[#list + 1] = ("%d %s %s"):format(use.line, use.kind, name)
  end
  return list
end

describe("globals", function()
  it("finds what is read and what is set, with lines", function()
    assert.same({ "1 set x", "3 read prnt", "3 read x" }, listed("x = 1\n\nprnt(x)"))
  end)

  it("looks into functions inside of functions, and where they are not called", function()
    assert.same({ "4 read deep" }, listed("return {\n score = function()\n  return function()\n   return deep\n  end\n end }"))
  end)

  it("tells the member that is read of a library", function()
    assert.same({ "1 read string.rep", "2 read math.random" }, listed("local a = string.rep('a', 2)\nreturn math.random(a)"))
  end)

  it("takes locals, parameters, fields and upvalues for what they are", function()
    assert.same({}, listed("local t = { print = 1 }\nreturn function(os) return t.print, os.time, function() return t.x end end"))
  end)

  it("keeps to the line far down a long function", function()
    local text = ("local a = 1\n"):rep(150) .. "\n" .. ("\n"):rep(300) .. "missing()"
    assert.same({ "452 read missing" }, listed(text))
  end)

  it("reads numbers, long texts and all other constants over", function()
    local long = ("x"):rep(300)
    assert.same({ "2 read missing" },
      listed(("local a = { 1.5, 1 << 40, true, false, nil, %q, 'short' }\nreturn missing, a"):format(long)))
  end)

  it("says what is no Lua, with its line", function()
    local uses, reason = globals.uses("return {\n score = function( end }", "mine.lua")
    assert.is_nil(uses)
    assert.matches("^mine.lua:2:", reason)
  end)
end)
