local Holdings = require("appmgr.planner.holdings")
local core = require("spec.support.core")
local versions = require("appmgr.planner.versions")

local function replica(name, slot, version)
  return { task = name, slot = slot, version = version, since = 1 }
end

--- An engine that knows one task, with one slot for each version.
local function engine(name, task, ...)
  local versions_of, entry = { ... }, name and { name = name, task = task }
  return {
    entry = function() return entry end,
    each_holder = function(_, wanted, fn)
      for position, version in ipairs(wanted == "web" and versions_of or {}) do
        fn({ replica = replica("web", position - 1, version) })
      end
    end,
  }
end

local function task(name, version)
  return { name = name, version = version, content_text = "text of " .. version }
end

local function holdings(...)
  local result, keys = Holdings.new({ json = core.json }), {}
  for position, version in ipairs({ ... }) do keys[position] = "version/web/" .. version end
  result:feed_versions(keys)
  return result
end

describe("versions that are missing", function()
  for _, case in ipairs({
    { "are none when the store has them", { "v1" }, engine("web", task("web", "v1"), "v1", "v1"), {}, {} },
    { "are written once, whether a slot is new or stays", {}, engine("web", task("web", "v1"), "v1", "v1"), { "v1" }, {} },
    { "are told when only the task's current text is known", { "v2" }, engine("web", task("web", "v2"), "v1", "v2", "v1"),
      {}, { "version/web/v1" } },
    { "are told when the document cannot be used", {}, engine("web", nil, "v1"), {}, { "version/web/v1" } },
    { "are none where no slot is", {}, engine("web", task("web", "v1")), {}, {} },
  }) do
    it(case[1], function()
      local list, problems = versions.missing(case[3], { "web" }, holdings(table.unpack(case[2])))
      local made, told = {}, {}
      for position, item in ipairs(list) do
        made[position] = item.hash
        assert.equal("text of " .. item.hash, item.text)
      end
      for position, problem in ipairs(problems.web or {}) do told[position] = problem.key end
      assert.same({ case[4], case[5] }, { made, told })
    end)
  end
end)

describe("versions that may go", function()
  local twelve = {}
  for number = 1, 12 do twelve[number] = ("v%02d"):format(number) end

  local function old(given, changes, decided)
    local store = holdings(table.unpack(twelve))
    store.decided = decided or {}
    local list = {}
    for position, item in ipairs(versions.old(given, changes or {}, store)) do
      list[position] = item.hash
    end
    return list
  end

  it("are the oldest beyond ten", function()
    assert.same({ "v01", "v02" }, old(engine("web", task("web", "v12"))))
  end)

  it("are not the task's own, nor what a slot has or had until now", function()
    assert.same({ "v02", "v03" }, old(engine("web", task("web", "v01"))))
    assert.same({ "v03", "v04" }, old(engine("web", task("web", "v12"), "v01"), { b = {} },
      { b = { replica("web", 1, "v02") } }))
  end)

  it("are all of a task that is gone, none of one that cannot be read", function()
    assert.equal(12, #old(engine()))
    assert.same({}, old(engine("web", nil)))
  end)
end)
