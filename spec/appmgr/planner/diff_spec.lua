local Holdings = require("appmgr.planner.holdings")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")
local diff = require("appmgr.planner.diff")

local json = core.json

local function replica(slot, fields)
  local result = { task = "web", slot = slot, version = "v1", since = 1 }
  for key, value in pairs(fields or {}) do result[key] = value end
  return result
end

--- Holdings as after an audit that found these replicas by host.
local function holdings(by_host)
  local result, entries, index = Holdings.new({ json = json }), {}, 10
  for host, replicas in pairs(by_host) do
    index = index + 1
    entries[#entries + 1] = { key = "assignment/" .. host, value = assignment.encode(replicas, json), index = index }
    entries[#entries + 1] = { key = "topology/" .. host, value = json.encode(json.array(assignment.topology(replicas))) }
  end
  result:feed_audit(entries)
  return result
end

--- What has to be written when the hosts that are alive shall hold this.
local function changes(desired, held, unreadable, unheld)
  local nodes = {}
  for host in pairs(desired) do nodes[#nodes + 1] = { name = host } end
  local snapshot = { nodes = nodes, unreadable = unreadable or {}, unheld = unheld or {},
    absence = { hosts = {} } }
  return diff.changes(desired, snapshot, held, json)
end

local function short(list)
  local words = {}
  for position, change in ipairs(list) do words[position] = change.kind .. " " .. change.host end
  return words
end

describe("the difference between a decision and the store", function()
  for _, case in ipairs({
    { "is nothing when it says the same", { a = { replica(0) } }, { a = { replica(0) } }, {} },
    { "is a new host, also one with nothing", {}, { a = {} }, { "set a" } },
    { "is a host that is gone", { a = { replica(0) } }, {}, { "delete a" } },
    { "puts hosts that are gone first, then stops, then starts", { a = {}, b = { replica(0) }, c = { replica(1) } },
      { a = { replica(0) }, b = {} }, { "delete c", "set b", "set a" } },
    { "counts a mark as a stop", { a = {}, b = { replica(0) } },
      { a = { replica(1) }, b = { replica(0, { leaving = true }) } }, { "set b", "set a" } },
  }) do
    it(case[1], function()
      assert.same(case[4], short(changes(case[3], holdings(case[2]))))
    end)
  end

  it("is a host that is gone as long as it is", function()
    local held = holdings({ a = { replica(0) } })
    assert.same({ key = "live/a" }, changes({}, held)[1].absent)
    assert.same({ key = "live/a", index = 5 }, changes({}, held, nil, { ["live/a"] = 5 })[1].absent)
  end)

  it("names the index that it was made from, 0 where there was nothing", function()
    local held = holdings({ a = { replica(0) } })
    local list = changes({ a = { replica(1) }, b = {} }, held)
    assert.same({ 11, 0 }, { list[1].index, list[2].index })
    assert.same({ "web" }, list[1].names)
  end)

  it("leaves hosts alone that cannot be read", function()
    local held = holdings({ a = { replica(0) } })
    assert.same({}, changes({}, held, { a = true }))
  end)

  it("does not mind how the same is spelled", function()
    local held = holdings({ a = { replica(0) } })
    held.store.a.text = ' {"replicas": [{"slot":0,"task":"web","since":1,"version":"v1","other":true}]}'
    assert.same({}, changes({ a = { replica(0) } }, held))
  end)

  it("sees a topology that somebody changed", function()
    local held = holdings({ a = { replica(0) } })
    held.topology.a = { "web", "web" }
    assert.same({ "set a" }, short(changes({ a = held.decided.a }, held)))
  end)

  it("in words", function()
    local held = holdings({
      a = { replica(0), replica(1, { leaving = true }), replica(2, { leaving = true }) }, b = { replica(3), replica(4) },
      c = { replica(5) },
    })
    local desired = {
      a = { replica(0, { leaving = true }), replica(1) }, b = { replica(3, { version = "v2" }), replica(4), replica(6) },
    }
    assert.same({
      "web.5 lost with c", "web.0 leaves a", "web.1 stays on a after all", "web.2 has left a",
      "web.3 on b: version v1 → v2", "web.6 → b (new)",
    }, diff.summary(changes(desired, held), held, 50))
    assert.same({ "web.5 lost with c", "… and 5 more" }, diff.summary(changes(desired, held), held, 1))
  end)
end)
