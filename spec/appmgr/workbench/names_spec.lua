local names = require("appmgr.workbench.names")
local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")
local file = require("core.file")

local function findings(text)
  return names.findings(text, "mine.lua", Policy.environment(core.sandbox))
end

describe("the names a policy uses", function()
  it("are in order in every policy that is shipped", function()
    local files = assert(file.list("policies"))
    for _, name in ipairs(files) do
      if name:match("%.lua$") then
        local text = assert(file.read("policies/" .. name))
        assert.same({}, names.findings(text, name, Policy.environment(core.sandbox)))
      end
    end
  end)

  it("that do not exist are told with their line and the nearest that does", function()
    assert.same({ 'mine.lua:2: there is no "tonumbr" for a policy; did you mean "tonumber"?' },
      findings("return {\n score = function(_, node) return tonumbr(node.name) end }"))
  end)

  it("are told with the file when it is no text", function()
    assert.matches("^mine.lua: .*binary chunk", findings("\27Lua")[1])
  end)

  it("of a library's missing members are told too", function()
    assert.same({ 'mine.lua:1: there is no "string.upperr" for a policy; did you mean "string.upper"?' },
      findings("return { score = function(_, node) return string.upperr(node.name) end }"))
  end)

  it("that a policy shall not have come with the reason", function()
    local list = findings("return { score = function() return os.time() + math.random() end }")
    assert.equal(2, #list)
    assert.matches('"math.random".*nothing to chance', list[1])
    assert.matches('"os".*no clock', list[2])
  end)

  it("may not be set", function()
    assert.same({ 'mine.lua:1: sets the global "count"; write "local count", nothing outlives a call' },
      findings("count = 0 return {}"))
  end)

  it("are told once for each line", function()
    assert.equal(1, #findings("return { score = function() return foo + foo end }"))
  end)

  it("wait until the text is Lua at all", function()
    assert.matches("^mine.lua:1: ", findings("retrun {}")[1])
  end)
end)
