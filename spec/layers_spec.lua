-- Who may require whom. Read from the files themselves, so that a shortcut
-- through the layers is a failing test and not a habit.

local function files(folder)
  local list = {}
  local pipe = assert(io.popen("find " .. folder .. " -name '*.lua' | sort"))
  for path in pipe:lines() do list[#list + 1] = path end
  pipe:close()
  return list
end

local function requires(path)
  local list = {}
  for line in io.lines(path) do
    for name in line:gmatch("require%(?%s*[\"']([%w_.]+)[\"']") do list[#list + 1] = name end
  end
  return list
end

local function starts_with(text, prefix)
  return text:sub(1, #prefix) == prefix
end

-- Each folder: what its files may not require, and the files that may all the same.
local RULES = {
  { folder = "lua/appmgr/node", never = { "appmgr.leader." }, except = { ["lua/appmgr/node/agent.lua"] = true } },
  { folder = "lua/appmgr/node", never = { "appmgr.planner.", "appmgr.cli.", "appmgr.control." },
    except = { ["lua/appmgr/node/agent.lua"] = true } },
  { folder = "lua/appmgr/leader", never = { "appmgr.planner.", "appmgr.node.", "appmgr.cli." },
    allowed = { ["appmgr.planner.frame"] = true } },
  { folder = "lua/appmgr/planner", never = { "appmgr.node.", "appmgr.leader.", "appmgr.cli.", "appmgr.control.",
    "appmgr.consul." } },
  { folder = "lua/appmgr/planner", never = { "core." }, except = { ["lua/appmgr/planner/main.lua"] = true } },
  { folder = "lua/appmgr/consul", never = { "appmgr.node.", "appmgr.leader.", "appmgr.planner.", "core." } },
  { folder = "lua/appmgr/when", never = { "appmgr.node.", "appmgr.leader.", "appmgr.planner.", "appmgr.cli.",
    "appmgr.control.", "appmgr.consul.", "core." } },
  { folder = "policies", never = { "" } },
}

local function violations(rule)
  local list = {}
  for _, path in ipairs(files(rule.folder)) do
    for _, name in ipairs(rule.except and rule.except[path] and {} or requires(path)) do
      for _, prefix in ipairs(rule.never) do
        local is_allowed = rule.allowed and rule.allowed[name]
        if starts_with(name, prefix) and not is_allowed then list[#list + 1] = path .. " requires " .. name end
      end
    end
  end
  return list
end

describe("the layers", function()
  for _, rule in ipairs(RULES) do
    local what = table.concat(rule.never, ", ")
    it(rule.folder .. " requires nothing of " .. (what == "" and "anything" or what), function()
      assert.truthy(#files(rule.folder) > 0)
      assert.same({}, violations(rule))
    end)
  end
end)
