local kinds = require("appmgr.planner.kind")
local placing = require("spec.support.placing")
local slots = require("appmgr.planner.slots")

--- A holder of slot `slot` on a node; `fields` are the node's.
local function holder(slot, name, fields, replica)
  local site = { name = name, node = placing.node(name, fields), index = 50, marks = {} }
  site.status, site.node.status = site.node.status, nil
  return { site = site, replica = placing.replica("web", slot, replica) }
end

local function entry(fields)
  local changes = { replication = 2 }
  for key, value in pairs(fields or {}) do changes[key] = value end
  return placing.task("web", changes)
end

local function names(holders)
  local list = {}
  for position, item in ipairs(holders) do list[position] = item.replica.slot .. "@" .. item.site.name end
  return table.concat(list, " ")
end

local function settle(given, holders, marks)
  local sites = {}
  for _, item in ipairs(holders) do
    sites[item.site.name] = sites[item.site.name] or item.site
    item.site = sites[item.site.name]
    item.site.marks = marks and marks[item.site.name] or {}
  end
  local task = given and given.task
  return slots.settle({ name = "web", entry = given, task = task, kind = task and kinds.of(task) }, holders, 100)
end

describe("slots of a task", function()
  for _, case in ipairs({
    { "stay where they may", entry(), { holder(0, "a"), holder(1, "b") }, staying = "0@a 1@b", leaving = "" },
    { "leave a node whose drain has passed its deadline", entry(),
      { holder(0, "a", { drain = true, drain_deadline = 100 }), holder(1, "b") }, staying = "1@b", leaving = "0@a" },
    { "have any numbers that differ", entry(), { holder(3, "a"), holder(7, "b") }, staying = "3@a 7@b", leaving = "" },
    { "that leave already leave first", entry({ replication = 1 }),
      { holder(0, "a", nil, { leaving = true }), holder(1, "b") }, staying = "1@b", leaving = "0@a" },
    { "stay on a node that is away for a moment", entry(), { holder(0, "a", { gone = true, drain = true }) },
      staying = "0@a", leaving = "" },
    { "leave above the replication", entry({ replication = 1 }), { holder(1, "a"), holder(0, "b") },
      staying = "0@b", leaving = "1@a" },
    { "leave above max_per_node, the highest first", entry({ replication = 3 }),
      { holder(2, "a"), holder(1, "a"), holder(0, "b") }, staying = "0@b 1@a", leaving = "2@a" },
    { "leave a node whose own application has the name", entry(), { holder(0, "a", { local_names = { web = true } }) },
      staying = "", leaving = "0@a" },
    { "stay on a node that cannot be understood", entry({ condition = { zone = "x" } }),
      { holder(0, "a", { error = "is no JSON object" }) }, staying = "0@a", leaving = "" },
    { "stay once when two nodes hold it: with the one that has it longer", entry(),
      { holder(0, "a", nil, { since = 9 }), holder(0, "b", nil, { since = 5 }) }, staying = "0@b", leaving = "0@a" },
    { "all leave with their task", nil, { holder(0, "a"), holder(1, "b") }, staying = "", leaving = "0@a 1@b" },
    { "stay as they are while the document cannot be used", { name = "web", errors = { "x" } },
      { holder(0, "a", { drain = true }), holder(1, "b", nil, { leaving = true }) }, staying = "0@a", leaving = "1@b" },
  }) do
    it(case[1], function()
      local state = settle(case[2], case[3])
      assert.same({ case.staying, case.leaving }, { names(state.staying), names(state.leaving) })
    end)
  end

  it("that have to be placed are neither those that stay nor those that still leave", function()
    local state = settle(entry({ replication = 4 }), {
      holder(0, "a"), holder(2, "b", { drain = true, drain_deadline = 1 }),
    })
    assert.same({ 1, 3 }, state.to_place)
    assert.equal("2@b", names({ state.blocked[2] }))
  end)
end)

describe("a slot that leaves", function()
  local MARKS = { a = { ["web.0"] = 40 } }

  local function state_with(status, replica, marks)
    local drained = { drain = true, status = status }
    return settle(entry(), { holder(0, "a", drained, replica or { leaving = true }) }, marks or MARKS)
  end

  for _, case in ipairs({
    { "has left when a node that knows the mark does not show it", { acted_on = 40, rows = {} }, true },
    { "has left when the node knows a later assignment", { acted_on = 50, rows = {} }, true },
    { "has not left while it is shown", { acted_on = 50, rows = { ["web.0"] = {} } }, false },
    { "has not left when the node acts on an earlier assignment", { acted_on = 39, rows = {} }, false },
    { "has not left when the node has read none since it started", { acted_on = 0, rows = {} }, false },
    { "has not left when the node knows what the store never had", { acted_on = 51, rows = {} }, false },
    { "has not left without a status", nil, false },
  }) do
    it(case[1], function()
      local state = state_with(case[2])
      assert.same({ case[3] and 1 or 0, case[3] and 0 or 1 }, { #state.left, #state.leaving })
    end)
  end

  it("has not left before it is marked, nor before the mark stands in the store", function()
    local gone = { acted_on = 50, rows = {} }
    assert.equal(0, #state_with(gone, {}).left)
    assert.equal(0, #state_with(gone, nil, {}).left)
    assert.equal(0, #state_with(gone, nil, { a = {} }).left)
  end)
end)
