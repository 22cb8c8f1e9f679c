--- The escape list: what a policy might reach for, name by name, and what it is given instead.
local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")

-- All that Lua 5.4 has and a policy must not have.
local FORBIDDEN = {
  "_G", "_ENV._G", "collectgarbage", "coroutine", "debug", "dofile", "getmetatable", "io", "load", "loadfile", "loadstring", "next",
  "os", "package", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "setmetatable", "setfenv", "utf8",
  "warn", "xpcall", "math.random", "math.randomseed", "string.dump", "string.pack", "string.packsize", "string.unpack",
  "arg", "jit", "module", "unpack", "core", "appmgr",
}

-- What stands in policies/README.md as there, and nothing else.
local function documented()
  local file = assert(io.open("policies/README.md"))
  local text = file:read("a"):match("These names are there, and no others:(.-)\n\n")
  file:close()
  local names = {}
  for name in text:match("^(.-)`type`"):gmatch("`(%a+)`") do names[name] = true end
  names.type = true
  for library, list in text:gmatch("`(%a+)%.` ([^,.]+)") do
    for name in list:gmatch("%a+") do names[library .. "." .. name] = true end
  end
  return names
end

local function given()
  local names = {}
  for name, value in pairs(Policy.environment(core.sandbox)) do
    if type(value) == "table" then
      for inner in pairs(value) do names[name .. "." .. inner] = true end
    else
      names[name] = true
    end
  end
  return names
end

describe("what a policy is given", function()
  it("is exactly what its contract lists", function()
    assert.same(documented(), given())
  end)

  for _, name in ipairs(FORBIDDEN) do
    it("is not " .. name, function()
      local policy, reason = Policy.load(core, { name = "escape", hash = "0", text = ([[
        local found = %s
        if found ~= nil then error("it is there") end
        return { api = 1, name = "escape", score = function() return 0 end }]]):format(name) })
      -- Of a library that is not there, already the look for a name in it fails.
      assert.truthy(policy or reason:find("attempt to index a nil value", 1, true), reason)
    end)
  end

  it("is its own: what one policy changes no other sees", function()
    assert(Policy.load(core, { name = "first", hash = "0", text = [[
      math.floor, leaked = nil, true
      return { api = 1, name = "first", score = function() return 0 end }]] }))
    assert(Policy.load(core, { name = "second", hash = "0", text = [[
      if not math.floor or leaked then error("changed") end
      return { api = 1, name = "second", score = function() return 0 end }]] }))
  end)

  it("is never bytecode", function()
    local code = string.dump(function() return {} end)
    local policy, reason = Policy.load(core, { name = "binary", hash = "0", text = code })
    assert.is_nil(policy)
    assert.truthy(reason:find("binary", 1, true), reason)
  end)

  it("is no way to a finalizer, or to the metatable that all strings share", function()
    local policy, reason = Policy.load(core, { name = "gc", hash = "0", text = [[
      return setmetatable({ api = 1, name = "gc", score = function() return 0 end }, { __gc = function() end })]] })
    assert.is_nil(policy)
    assert.truthy(reason:find("setmetatable", 1, true), reason)
  end)
end)
