local Holdings = require("appmgr.planner.holdings")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")

local json = core.json

local function replica(slot, fields)
  local result = { task = "web", slot = slot, version = "v1", since = 1 }
  for key, value in pairs(fields or {}) do result[key] = value end
  return result
end

describe("the holdings", function()
  local holdings

  before_each(function() holdings = Holdings.new({ json = json }) end)

  --- An audit that finds these assignments: host → {index, replicas or text}.
  local function audit(found)
    local entries = {}
    for host, item in pairs(found) do
      local text = type(item[2]) == "table" and assignment.encode(item[2], json) or item[2]
      entries[#entries + 1] = { key = "assignment/" .. host, value = text, index = item[1] }
    end
    holdings:feed_audit(entries)
  end

  --- A commit of ours that was applied.
  local function commit(host, index, replicas)
    local text = assignment.encode(replicas, json)
    holdings:expect({ { kind = "set", host = host, replicas = replicas } })
    holdings:apply({ { kind = "assignment", key = "assignment/" .. host, host = host, replicas = replicas, text = text } },
      { ["assignment/" .. host] = index })
  end

  local function problem(key)
    for _, item in ipairs(holdings:problems()) do
      if item.key == key then return item.text end
    end
  end

  it("take the first audit of a term as it is", function()
    audit({ a = { 5, { replica(0) } }, b = { 6, "garbage" } })
    assert.same({ replica(0) }, holdings.decided.a)
    assert.is_nil(holdings.foreign.a)
    assert.truthy(problem("assignment/b"):find("cannot be read", 1, true))
  end)

  describe("tell whose change an audit shows:", function()
    before_each(function()
      audit({ a = { 5, { replica(0) } } })
      commit("a", 6, { replica(0), replica(1) })
    end)

    for _, case in ipairs({
      { "nobody's", { 6, { replica(0), replica(1) } }, is_foreign = false },
      { "somebody's who took a slot away", { 7, { replica(0) } }, is_foreign = true },
      { "somebody's who broke it", { 7, "garbage" }, is_foreign = true },
      { "somebody's who added one, which leaves", { 7, { replica(0), replica(1), replica(2) } }, is_foreign = true, extra = 2 },
    }) do
      it(case[1], function()
        audit({ a = case[2] })
        assert.equal(case.is_foreign, problem("assignment/a") ~= nil)
        local decided = holdings.decided.a
        assert.same({ 0, 1 }, { decided[1].slot, decided[2].slot })
        assert.equal(case.extra, decided[3] and decided[3].leaving and decided[3].slot)
      end)
    end

    it("our own, whose answer was lost", function()
      holdings:expect({ { kind = "set", host = "a", replicas = { replica(1) } } })
      audit({ a = { 7, { replica(1) } } })
      assert.is_nil(problem("assignment/a"))
      assert.same({ replica(1) }, holdings.decided.a)
    end)

    it("our own deletion, or somebody else's", function()
      holdings:expect({ { kind = "delete", host = "a" } })
      audit({})
      assert.is_nil(holdings.decided.a)
      commit("a", 8, { replica(0) })
      audit({})
      assert.truthy(problem("assignment/a"))
      assert.same({ replica(0) }, holdings.decided.a)
    end)
  end)

  describe("know since when a slot is marked:", function()
    local LEAVING = { leaving = true }

    before_each(function()
      audit({ a = { 5, { replica(0), replica(1) } } })
      commit("a", 6, { replica(0, LEAVING), replica(1) })
    end)

    it("since the first of our commits that say so", function()
      commit("a", 7, { replica(0, LEAVING), replica(1, LEAVING) })
      assert.same({ ["web.0"] = 6, ["web.1"] = 7 }, holdings.marks.a)
    end)

    it("anew when the mark was taken back", function()
      commit("a", 7, { replica(0), replica(1) })
      commit("a", 8, { replica(0, LEAVING), replica(1) })
      assert.same({ ["web.0"] = 8 }, holdings.marks.a)
    end)

    it("still, when an audit shows the same assignment", function()
      commit("a", 7, { replica(0, LEAVING) })
      audit({ a = { 7, { replica(0, LEAVING) } } })
      assert.same({ ["web.0"] = 6 }, holdings.marks.a)
    end)

    it("not before the last write, when somebody else may have written in between", function()
      audit({ a = { 9, { replica(0, LEAVING), replica(1) } } })
      assert.same({ ["web.0"] = 9 }, holdings.marks.a)
    end)

    it("not in a new term, which knows the store only", function()
      holdings:forget()
      assert.same({}, holdings.marks)
      audit({ a = { 9, { replica(0, LEAVING) } } })
      assert.same({ ["web.0"] = 9 }, holdings.marks.a)
    end)

    it("of no host that is gone, and of none that only shall have it", function()
      holdings:take_foreign("b", { replica(3) })
      assert.is_nil(holdings.marks.b)
      holdings:apply({ { kind = "assignment_gone", host = "a" } }, {})
      assert.is_nil(holdings.marks.a)
    end)
  end)

  describe("know versions", function()
    before_each(function() holdings:feed_versions({ "version/web/v2", "version/web/v1", "version/stray" }) end)

    it("by the listing and by what was made since, in the order of their age", function()
      holdings:apply({ { kind = "version", task = "web", hash = "v0" } }, {})
      assert.is_true(holdings:has_version("web", "v1"))
      assert.is_true(holdings.versions.web.v0 > holdings.versions.web.v2)
      holdings:feed_versions({ "version/web/v0", "version/web/v2" })
      assert.is_true(holdings.versions.web.v0 > holdings.versions.web.v2)
      assert.is_false(holdings:has_version("web", "v1"))
    end)

    it("that Consul says are there, whatever the listing says, until it shows them", function()
      holdings:note_existing("db", "v1")
      holdings:feed_versions({})
      assert.is_true(holdings:has_version("db", "v1"))
      assert.is_false(holdings:has_version("web", "v1"))
      holdings:feed_versions({ "version/db/v1" })
      holdings:feed_versions({})
      assert.is_false(holdings:has_version("db", "v1"))
    end)

    it("that were deleted no more, also when a listing said so before", function()
      holdings:feed_versions({})
      holdings:apply({ { kind = "version_gone", task = "web", hash = "v1" } }, {})
      assert.is_false(holdings:has_version("web", "v1"))
    end)
  end)

  it("give a host whose assignment cannot be read what it shows", function()
    audit({ a = { 5, "garbage" } })
    holdings:recover("a", { ["web.1"] = { task = "web", slot = 1, version = "v1" }, ["web.0"] = { task = "web", slot = 0 } })
    assert.same({ { task = "web", slot = 1, version = "v1", since = 0 } }, holdings.decided.a)
    assert.is_nil(problem("assignment/a"))
  end)

  for name, case in pairs({
    ["no JSON"] = { "{", error = "no cluster id" }, ["no id"] = { '{"schema":1}', error = "no cluster id" },
    ["another schema"] = { '{"schema":2,"cluster":"c"}', error = "does not know: 2" },
    ["one that is right"] = { '{"schema":1,"cluster":"c","accepted":["d"]}', cluster = "c" },
  }) do
    it("read meta: " .. name, function()
      holdings:feed_meta(case[1])
      assert.equal(case.cluster, holdings.meta and holdings.meta.cluster)
      assert.equal(case.error ~= nil, holdings.meta_error ~= nil)
      assert.truthy(not case.error or holdings.meta_error:find(case.error, 1, true))
    end)
  end
end)
