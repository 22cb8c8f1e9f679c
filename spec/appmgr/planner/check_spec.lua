local check = require("appmgr.planner.check")

local function snapshot()
  local function node(name, fields)
    local result = { name = name, labels = {}, local_names = {}, eligible = true, drain = false }
    for key, value in pairs(fields or {}) do result[key] = value end
    return result
  end
  local function task(name, fields)
    local result = { name = name, replication = 2, max_per_node = 1, condition = {}, unsupported = {} }
    for key, value in pairs(fields or {}) do result[key] = value end
    return { name = name, task = result, errors = {} }
  end
  return {
    nodes = { node("a"), node("b"), node("c", { drain = true }) },
    tasks = { task("web"), task("odd", { unsupported = { "spread" } }) },
    held = { c = { { task = "web", slot = 1, version = "v" }, { task = "gone", slot = 0, version = "v" } } },
  }
end

local function replica(task, slot)
  return { task = task, slot = slot, version = "v", since = 0 }
end

describe("check.violation", function()
  it("finds nothing in what the rules allow", function()
    local held = snapshot().held.c
    assert.is_nil(check.violation(snapshot(), { a = { replica("web", 0) }, b = {}, c = held }))
  end)

  it("finds each thing a decision must not hold", function()
    for text, desired in pairs({
      ["unknown host x"] = { x = {} },
      ["no such task"] = { a = { replica("other", 0) } },
      ["more slots than its replication"] = { a = { replica("web", 2) } },
      ["it is on a too"] = { a = { replica("web", 0) }, b = { replica("web", 0) } },
      ["the node is no choice: drain"] = { c = { replica("web", 0) } },
      ["must stay pending"] = { a = { replica("odd", 0) } },
      ["more than max_per_node"] = { a = { replica("web", 0), replica("web", 1) } },
    }) do
      local violation = check.violation(snapshot(), desired)
      assert.truthy(violation and violation:find(text, 1, true), text .. ": " .. tostring(violation))
    end
  end)
end)
