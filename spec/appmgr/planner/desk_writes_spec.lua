local Cluster = require("spec.support.cluster")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local count, three_nodes = desk_cluster.count, desk_cluster.three_nodes
local json = core.json

describe("foreign writes", function()
  local function settled()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    return cluster
  end

  it("to assignments and topologies are undone, nothing moves", function()
    local cluster = settled()
    local before, text = cluster:slots(), cluster.store:value("assignment/beta")
    for _, damage in ipairs({
      function() cluster.store:put("assignment/beta", '{"replicas":[]}') end,
      function() cluster.store:put("assignment/beta", "garbage") end,
      function() cluster.store:delete("assignment/beta") end,
      function() cluster.store:put("topology/beta", '["other"]') end,
      function() cluster.store:put("topology/beta", "garbage") end,
      function() cluster.store:delete("topology/beta") end,
    }) do
      damage()
      cluster:settle()
      assert.same(before, cluster:slots())
      assert.equal(text, cluster.store:value("assignment/beta"))
      assert.equal('["web"]', cluster.store:value("topology/beta"))
    end
  end)

  it("that add a replica make it leave as anything else does", function()
    local cluster = settled()
    local list = assignment.parse(cluster.store:value("assignment/beta"), json)
    list[#list + 1] = { task = "evil", slot = 0, version = "00", since = 0 }
    cluster.store:put("assignment/beta", assignment.encode(list, json))
    cluster:feed_all()
    cluster:commit(select(2, cluster:decide()))
    assert.truthy(cluster.store:value("assignment/beta"):find('"leaving":true', 1, true))
    cluster:settle()
    assert.is_nil(cluster.store:value("assignment/beta"):find("evil", 1, true))
  end)

  it("do not bring back what a lost host had", function()
    local cluster = settled()
    local before = cluster:slots()
    cluster:lose("beta")
    cluster.store:delete("assignment/beta")
    cluster.store:delete("topology/beta")
    cluster:node("delta")
    cluster:settle()
    cluster:node("beta")
    cluster:settle()
    assert.equal("delta", cluster:slots()["web.1"])
    assert.equal(before["web.0"], cluster:slots()["web.0"])
  end)

  it("are told from our own when the clock gives fractions", function()
    local cluster = settled()
    cluster.now = cluster.now + 0.25
    cluster:task("db")
    cluster:settle()
    cluster:feed_all()
    assert.same({}, select(2, cluster:decide()))
    assert.is_nil(cluster:problem("assignment/alpha"))
  end)

  it("to a host that is not there are taken away", function()
    local cluster = settled()
    cluster.store:put("assignment/ghost", "x")
    cluster.store:put("topology/other", "[]")
    cluster:settle()
    assert.is_nil(cluster.store:value("assignment/ghost"))
    assert.is_nil(cluster.store:value("topology/other"))
  end)

  it("between look and commit make the batch fail and ask for an audit", function()
    local cluster = settled()
    cluster:task("db")
    cluster:feed_all()
    local _, batches = cluster:decide()
    cluster.store:put("assignment/alpha", '{"replicas":[]}')
    assert.equal(0, cluster:commit(batches))
    local header, none = cluster:decide()
    assert.is_true(header.audit)
    assert.same({}, none)
    cluster:settle()
    assert.equal(4, count(cluster:slots()))
  end)

  it("of a later leader win: a deposed one writes nothing", function()
    local cluster = settled()
    cluster:task("db")
    cluster:feed_all()
    local _, batches = cluster:decide()
    cluster.store:put("leader", '"beta"', "another session")
    assert.equal(0, cluster:commit(batches))
  end)
end)

describe("transactions", function()
  it("hold at most 64 operations and 480 KiB, and settle all the same", function()
    local cluster = Cluster.new()
    for number = 1, 150 do cluster:node(("n%03d"):format(number)) end
    local long = ("x"):rep(100000)
    for number = 1, 12 do
      cluster:task("big" .. number, { replication = 20, content = { command = "true", comments = long .. number } })
    end
    cluster:turn()
    cluster:feed_all()
    local _, batches = cluster:decide()
    assert.truthy(#batches > 5)
    for _, batch in ipairs(batches) do
      assert.truthy(#batch <= 480 * 1024)
      local operations = json.decode(batch)
      assert.truthy(#operations <= 64)
      assert.equal("check-session", operations[1].KV.Verb)
      assert.equal("appmgr/leader", operations[1].KV.Key)
    end
    cluster:commit(batches)
    cluster:settle()
    assert.equal(240, count(cluster:slots()))
  end)

  it("carry the largest content that a task may have", function()
    local cluster = three_nodes()
    local room = require("appmgr.task").MAX_CONTENT_BYTES - #'{"command":"x","comments":""}'
    cluster:task("a", { content = { command = "x", comments = ("y"):rep(room) } })
    cluster:task("b", { content = { command = "x", comments = ("y"):rep(room + 1) } })
    cluster:settle()
    assert.truthy(cluster:slots()["a.0"])
    assert.truthy(cluster:problem("task/b"):find("360449 bytes; at most 360448", 1, true))
  end)

  it("survive the loss of any answer", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local before = cluster:slots()
    cluster:task("db", { replication = 2 })
    cluster:feed_all()
    local _, batches = cluster:decide()
    for position, batch in ipairs(batches) do
      cluster.store:transaction(batch)
      cluster.desk:handle({ type = "committed", batch = position, status = 0 }, "")
    end
    cluster.last = cluster:decide()
    assert.is_true(cluster.last.audit)
    assert.truthy(cluster:problem("commit"):find("not known whether a commit was written", 1, true))
    cluster:settle()
    for slot, host in pairs(before) do assert.equal(host, cluster:slots()[slot]) end
    assert.equal(5, count(cluster:slots()))
  end)
end)
