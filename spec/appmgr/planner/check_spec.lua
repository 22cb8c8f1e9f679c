local check = require("appmgr.planner.check")
local placing = require("spec.support.placing")

local node, task, replica = placing.node, placing.task, placing.replica

--- An engine that has decided nothing of what is checked: only what it was told counts.
local function engine()
  local Deltas = require("appmgr.planner.deltas")
  local Engine = require("appmgr.planner.engine")
  local result = Engine.new({})
  Deltas.new(result):feed(placing.snapshot({
    nodes = {
      node("a", { capacity = { cpu = 1000 } }), node("b"), node("c", { drain = true }),
      node("d", { local_names = { web = true } }), node("e"),
    },
    tasks = {
      task("web", { replication = 2 }), task("odd", { unsupported = { "group" } }),
      task("big", { replication = 3, max_per_node = 3, resources = { cpu = 600 } }),
      task("open", { replication = 2, max_per_node = 2, ports = { { name = "http" } } }),
    },
    held = {
      b = { replica("big", 2) }, c = { replica("web", 1), replica("gone", 0) },
    },
  }))
  result:decide(1000)
  return result
end

describe("check.violation", function()
  it("finds nothing in what the rules allow", function()
    assert.is_nil(check.violation(engine(), {
      a = { replica("big", 0), replica("web", 0) }, b = {}, c = { replica("gone", 0), replica("web", 1) },
    }))
  end)

  it("says nothing of a frozen task that stands twice, as long as the decision leaves it alone", function()
    local Engine, twice = require("appmgr.planner.engine"), { replica("odd", 0), replica("odd", 0) }
    local fed = Engine.new({})
    for position, host in ipairs({ "a", "b" }) do
      fed:put_node(node(host))
      fed:put_held(host, { twice[position] })
    end
    fed:put_task(task("odd", { unsupported = { "group" } }))
    fed:put_task(task("web", { replication = 2 }))
    fed:decide(1000)
    assert.is_nil(check.violation(fed, { a = { twice[1], replica("web", 0) }, b = { twice[2], replica("web", 1) } }))
    local again = check.violation(fed, { a = { replica("odd", 0, { version = "v2" }) }, b = { twice[2], replica("web", 1) } })
    assert.truthy(again and again:find("odd.0 on b: it is on a too", 1, true), again)
  end)

  it("knows what was there before, in whatever order it stood", function()
    local fed = engine()
    local before = fed.board.sites.c.held
    assert.is_nil(check.violation(fed, { c = { before[2], before[1] } }))
    assert.is_nil(check.violation(fed, { c = { replica("web", 1, { leaving = true }), replica("gone", 0) } }))
  end)

  it("finds each thing a decision must not hold", function()
    for text, changes in pairs({
      ["unknown host x"] = { x = {} },
      ["no such task"] = { a = { replica("other", 0) } },
      ["more slots than its replication"] = { a = { replica("web", 2) }, b = { replica("web", 3) }, e = { replica("web", 4) } },
      ["it is on a too"] = { a = { replica("web", 0) }, b = { replica("web", 0) } },
      ["it is on b too"] = { a = { replica("big", 2) } },
      ["the node is no choice: drain"] = { c = { replica("web", 0) } },
      ["the node is no choice: local_name"] = { d = { replica("web", 0) } },
      ["must stay pending"] = { a = { replica("odd", 0) } },
      ["more than max_per_node"] = { a = { replica("web", 0), replica("web", 1) } },
      ["more cpu than there is"] = { a = { replica("big", 0), replica("big", 1) } },
      ["port http (20000) is taken by open.0"] = {
        a = { replica("open", 0, { ports = { http = 20000 } }), replica("open", 1, { ports = { http = 20000 } }) },
      },
    }) do
      local violation = check.violation(engine(), changes)
      assert.truthy(violation and violation:find(text, 1, true), text .. ": " .. tostring(violation))
    end
  end)
end)
