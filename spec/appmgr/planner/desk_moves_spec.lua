local Cluster = require("spec.support.cluster")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local count, three_nodes = desk_cluster.count, desk_cluster.three_nodes
local json = core.json

-- A drain that does not wait for successors: its deadline has passed.
local LEAVE_NOW = '{"drain":{"deadline":1}}'

describe("placing", function()
  it("writes the version, the assignment and the seed's topology", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 2 })
    cluster:settle()
    local replicas = assignment.parse(cluster.store:value("assignment/alpha"), json)
    assert.equal("web", replicas[1].task)
    assert.equal('{"command":"sleep 30"}', cluster.store:value("version/web/" .. replicas[1].version))
    assert.equal('["web"]', cluster.store:value("topology/alpha"))
    assert.same({ ["web.0"] = "alpha", ["web.1"] = "beta" }, cluster:slots())
    assert.truthy(#cluster.last.summary == 0)
  end)

  it("writes nothing a second time", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 5, max_per_node = 2 })
    cluster:settle()
    local index = cluster.store.index
    local header, written = cluster:turn()
    assert.equal(0, written)
    assert.same({}, header.status_hosts)
    assert.equal(index, cluster.store.index)
  end)

  it("puts one on each eligible node for \"all\", and on one that joins", function()
    local cluster = three_nodes()
    cluster.store:put("node/beta", '{"eligible":false}')
    cluster:task("log", { replication = "all" })
    cluster:settle()
    assert.same({ ["log.0"] = "alpha", ["log.1"] = "gamma" }, cluster:slots())
    cluster:node("delta")
    cluster:settle()
    assert.same({ ["log.0"] = "alpha", ["log.1"] = "gamma", ["log.2"] = "delta" }, cluster:slots())
    cluster:lose("alpha")
    cluster.store:put("node/beta", '{"eligible":true}')
    cluster:settle()
    assert.same({ ["log.0"] = "beta", ["log.1"] = "gamma", ["log.2"] = "delta" }, cluster:slots())
  end)

  it("takes nothing from a node that is back before that is written", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 2 })
    cluster:settle()
    local before = cluster:slots()
    cluster:lose("alpha")
    cluster:feed_all()
    local _, batches = cluster:decide()
    cluster:node("alpha")
    assert.equal(0, cluster:commit(batches))
    cluster:settle()
    assert.same(before, cluster:slots())
  end)

  it("takes scarce room by priority, then by name", function()
    local cluster = Cluster.new({ limits = { max_replicas_per_node = 2 } })
    cluster:node("alpha")
    for name, priority in pairs({ a = 0, b = 0, c = 5 }) do cluster:task(name, { priority = priority }) end
    cluster:settle()
    assert.same({ ["c.0"] = "alpha", ["a.0"] = "alpha" }, cluster:slots())
    assert.equal('task "b": 1 of 1 pending: 1 of 1 nodes: have 2 replicas, the most an assignment can hold',
      cluster:problem("task/b"))
  end)

  it("counts why not", function()
    local cluster = Cluster.new()
    cluster:node("alpha", { labels = { zone = "a" } })
    cluster:node("beta", { labels = { zone = "b1" } })
    cluster:node("gamma", { labels = { zone = "b2" }, local_applications = { "web" } })
    cluster:node("delta")
    cluster.store:put("node/beta", '{"drain":true}')
    cluster:task("web", { condition = { zone = "b*" } })
    cluster:settle()
    assert.equal('task "web": 1 of 1 pending: 1 of 4 nodes: label zone is "a", it asks for "b*"; '
      .. '1: no label zone, it asks for "b*"; 1: being drained; '
      .. "1: have an application of their own with that name", cluster:problem("task/web"))
  end)

  it("lets an operator's labels win over the node's own", function()
    local cluster = three_nodes()
    cluster.store:put("node/gamma", '{"labels":{"zone":"c"}}')
    cluster:node("alpha", { labels = { zone = "a" } })
    cluster:task("web", { condition = { zone = "c" } })
    cluster:settle()
    assert.same({ ["web.0"] = "gamma" }, cluster:slots())
  end)
end)

describe("moving", function()
  it("moves only what a lost node had, and takes its keys away", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 6, max_per_node = 3 })
    cluster:settle()
    local before = cluster:slots()
    cluster:lose("beta")
    cluster:settle()
    local after = cluster:slots()
    assert.equal(6, count(after))
    for slot, host in pairs(before) do
      if host ~= "beta" then assert.equal(host, after[slot]) end
    end
    assert.is_nil(cluster.store:value("assignment/beta"))
    assert.is_nil(cluster.store:value("topology/beta"))
  end)

  describe("after an outage that ended all sessions", function()
    local cluster

    before_each(function()
      cluster = three_nodes()
      cluster:task("web", { replication = 6, max_per_node = 6 })
      cluster:settle()
      cluster.term, cluster.settling = 2, true
      cluster:lose("beta")
      cluster:lose("gamma")
      -- A term begins with an audit.
      cluster:turn()
    end)

    it("waits for those that are not back yet, and moves nothing when they come", function()
      local before = cluster.store:value("assignment/beta")
      local header, written = cluster:turn()
      assert.equal(0, written)
      assert.is_true(header.retry)
      assert.truthy(cluster:problem("live"):find("beta, gamma: not back after an outage", 1, true))
      cluster:node("gamma")
      cluster:node("beta")
      cluster:settle()
      assert.is_nil(cluster:problem("live"))
      assert.equal(before, cluster.store:value("assignment/beta"))
      assert.equal(6, count(cluster:slots()))
    end)

    it("gives the work of one that stays away to others when the time is over", function()
      cluster:node("gamma")
      cluster:turn()
      cluster.settling = false
      cluster:settle()
      assert.is_nil(cluster.store:value("assignment/beta"))
      assert.equal(6, count(cluster:slots()))
    end)

    it("waits for nobody that had nothing to run", function()
      cluster = three_nodes()
      cluster:settle()
      cluster.settling = true
      cluster:lose("gamma")
      cluster:task("web")
      cluster:settle()
      assert.equal(1, count(cluster:slots()))
    end)
  end)

  it("marks a slot as leaving and places it only when the node stopped showing it", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.store:put("node/alpha", LEAVE_NOW)
    cluster:feed_all()
    local header, batches = cluster:decide()
    assert.same({ "alpha" }, header.status_hosts)
    assert.same({ "web.0 leaves alpha" }, header.summary)
    cluster:commit(batches)
    assert.truthy(cluster.store:value("assignment/alpha"):find('"leaving":true', 1, true))
    assert.equal("[]", cluster.store:value("topology/alpha"))
    -- Absence says nothing: no status, and one that still shows it, keep it there.
    for _, body in ipairs({ false, cluster.store:listing("status/alpha/applications") }) do
      cluster:feed("status", body or nil, "alpha")
      local _, none = cluster:decide()
      assert.same({}, none)
    end
    cluster:run("alpha")
    cluster:feed("status", cluster.store:listing("status/alpha/applications"), "alpha")
    header, batches = cluster:decide()
    assert.same({ "web.0 has left alpha", "web.0 → beta (new)" }, header.summary)
    cluster:commit(batches)
    assert.same({ ["web.0"] = "beta" }, cluster:slots())
  end)

  describe("takes a status for what it is worth:", function()
    local cluster, holder

    --- What the planner decides on the node's status as it stands.
    local function decide()
      cluster:feed("status", cluster.store:listing("status/" .. holder .. "/applications"), holder)
      return cluster:decide()
    end

    before_each(function()
      cluster = three_nodes()
      cluster:task("web")
      cluster:settle()
      holder = cluster:slots()["web.0"]
      cluster.now = cluster.now + 60
      cluster.store:put("node/" .. holder, LEAVE_NOW)
      cluster:feed_trees()
      cluster:commit(select(2, cluster:decide()))
    end)

    it("of a node that started again and has not seen the mark", function()
      cluster:restart(holder)
      cluster.now = cluster.now + 60
      local header, none = decide()
      assert.same({}, none)
      assert.same({ holder }, header.status_hosts)
      cluster:recall(holder)
      assert.same({}, select(2, decide()))
      cluster:run(holder)
      assert.same({ "web.0 has left " .. holder, "web.0 → beta (new)" }, decide().summary)
    end)

    it("of a node that saw an earlier mark, which was taken back since", function()
      cluster:run(holder)
      for _, intent in ipairs({ '{"drain":false}', LEAVE_NOW }) do
        cluster.store:put("node/" .. holder, intent)
        cluster:feed_trees()
        assert.equal(1, cluster:commit(select(2, cluster:decide())))
      end
      assert.same({}, select(2, decide()))
      cluster:run(holder)
      assert.equal(1, #select(2, decide()))
    end)

    it("one that knows an index of another life of the store", function()
      local node = cluster.nodes[holder]
      node.running, node.acted_on = {}, 1000000
      cluster:report(holder)
      assert.same({}, select(2, decide()))
    end)

    it("not of the newest assignment, if it is of one that had the mark already", function()
      cluster:run(holder)
      cluster.store:put("node/beta", LEAVE_NOW)
      cluster:task("log", { priority = 9 })
      cluster:feed_trees()
      local index = cluster.store:index_of("assignment/" .. holder)
      cluster:commit(select(2, cluster:decide()))
      assert.equal(index, cluster.store:index_of("assignment/" .. holder))
      assert.truthy(decide().summary[1]:find("has left", 1, true))
    end)
  end)

  it("tells a node first, however long its status has not shown the slot", function()
    local cluster = three_nodes()
    cluster:settle()
    cluster.lazy = function() return true end
    cluster:task("web")
    cluster:turn()
    cluster.now = cluster.now + 60
    cluster.store:put("node/alpha", LEAVE_NOW)
    cluster:feed_all()
    cluster:feed("status", cluster.store:listing("status/alpha/applications"), "alpha")
    assert.same({ "web.0 leaves alpha" }, cluster:decide().summary)
  end)

  it("keeps a leaving slot when the reason goes away in time", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.store:put("node/alpha", LEAVE_NOW)
    cluster:feed_all()
    cluster:commit(select(2, cluster:decide()))
    cluster.store:delete("node/alpha")
    cluster:settle()
    assert.same({ ["web.0"] = "alpha" }, cluster:slots())
  end)

  it("takes the highest slots when a task shrinks, all when it is removed", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local before = cluster:slots()
    cluster:task("web", { replication = 1 })
    cluster:settle()
    assert.same({ ["web.0"] = before["web.0"] }, cluster:slots())
    cluster.store:delete("task/web")
    cluster:settle()
    assert.same({}, cluster:slots())
    assert.is_nil(cluster.store:key_listing("version/"))
  end)

  it("obeys a lower max_per_node: the highest slots leave", function()
    local cluster = Cluster.new()
    cluster:node("alpha")
    cluster:task("web", { replication = 3, max_per_node = 3 })
    cluster:settle()
    cluster:task("web", { replication = 3, max_per_node = 1 })
    cluster:settle()
    assert.same({ ["web.0"] = "alpha" }, cluster:slots())
  end)

  it("lets a slot that leaves stay after all when another one is lost", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local holder = cluster:slots()
    cluster.lazy = function() return true end
    cluster:task("web", { replication = 1 })
    cluster:turn()
    assert.same({ ["web.0"] = holder["web.0"] }, cluster:slots())
    cluster:lose(holder["web.0"])
    cluster:turn()
    assert.same({ ["web.1"] = holder["web.1"] }, cluster:slots())
    cluster.lazy = nil
    cluster:settle()
    assert.same({ ["web.1"] = holder["web.1"] }, cluster:slots())
  end)

  it("moves what may not stay: a label that changed, a local application with the name", function()
    local cluster = three_nodes()
    cluster:node("alpha", { labels = { zone = "a" } })
    cluster:node("beta", { labels = { zone = "a" } })
    cluster:task("web", { condition = { zone = "a" } })
    cluster:settle()
    assert.same({ ["web.0"] = "alpha" }, cluster:slots())
    cluster:node("alpha", { labels = { zone = "b" } })
    cluster:settle()
    assert.same({ ["web.0"] = "beta" }, cluster:slots())
    cluster:node("alpha", { labels = { zone = "a" } })
    cluster:node("beta", { labels = { zone = "a" }, local_applications = { "web" } })
    cluster:settle()
    assert.same({ ["web.0"] = "alpha" }, cluster:slots())
  end)
end)

describe("rollout", function()
  local function versions(cluster)
    local list = {}
    for name in pairs(cluster.nodes) do
      for _, replica in ipairs(assignment.parse(cluster.store:value("assignment/" .. name), json) or {}) do
        list[replica.slot + 1] = replica.version
      end
    end
    return list
  end

  it("moves one slot at a time, the next when the previous runs", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local old = versions(cluster)[1]
    local places = cluster:slots()
    cluster:task("web", { replication = 3, content = { command = "sleep 60" } })
    for moved = 1, 3 do
      cluster:turn()
      local fresh = 0
      for _, version in ipairs(versions(cluster)) do
        if version ~= old then fresh = fresh + 1 end
      end
      assert.equal(moved, fresh)
      assert.not_equal(old, versions(cluster)[moved])
    end
    assert.same(places, cluster:slots())
    cluster:settle()
    assert.same(places, cluster:slots())
  end)

  it("goes on within one second of the clock, which cannot say whose turn was last", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local old = versions(cluster)[1]
    cluster:task("web", { replication = 3, content = { command = "sleep 60" } })
    local second = cluster.now
    for _ = 1, 6 do
      cluster.now = second
      cluster:turn()
    end
    for _, version in ipairs(versions(cluster)) do assert.not_equal(old, version) end
    assert.same({}, cluster.last.status_hosts)
  end)

  it("goes one at a time also when the new leader's clock is behind", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local old = versions(cluster)[1]
    cluster:task("web", { replication = 3, content = { command = "sleep 60" } })
    cluster:turn()
    cluster:turn()
    cluster.now = cluster.now - 100
    cluster:turn()
    cluster:turn()
    local last = assignment.parse(cluster.store:value("assignment/" .. cluster:slots()["web.2"]), json)[1]
    local before = assignment.parse(cluster.store:value("assignment/" .. cluster:slots()["web.1"]), json)[1]
    assert.not_equal(old, last.version)
    assert.is_true(last.since >= before.since)
  end)

  it("stops at a version that does not run, and goes on with a better one", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local old = versions(cluster)[1]
    local bad = core.codec.sha256('{"command":"false"}'):sub(1, 16)
    cluster.refuses[bad] = true
    cluster:task("web", { replication = 3, content = { command = "false" } })
    for _ = 1, 5 do cluster:turn() end
    assert.same({ bad, old, old }, versions(cluster))
    assert.same({ cluster:slots()["web.0"] }, cluster.last.status_hosts)
    cluster:task("web", { replication = 3, content = { command = "true" } })
    cluster:settle()
    assert.equal(versions(cluster)[1], versions(cluster)[3])
    assert.not_equal(bad, versions(cluster)[1])
  end)

  it("goes on past a slot that waits for its time with the new version", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local old = versions(cluster)[1]
    cluster.waits[core.codec.sha256('{"command":"x","schedule":"@daily"}'):sub(1, 16)] = true
    cluster:task("web", { replication = 3, content = { command = "x", schedule = "@daily" } })
    cluster:settle()
    assert.not_equal(old, versions(cluster)[1])
    assert.equal(versions(cluster)[1], versions(cluster)[3])
  end)

  it("does not wait for what is disabled", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    cluster:task("web", { replication = 3, content = { command = "sleep 30", status = 0 } })
    cluster:turn()
    local list = versions(cluster)
    assert.equal(list[1], list[3])
  end)

  it("keeps the last ten versions", function()
    local cluster = three_nodes()
    for number = 1, 15 do
      cluster:task("web", { content = { command = "sleep " .. number } })
      cluster:settle()
    end
    local _, kept = cluster.store:key_listing("version/"):gsub("version/", "")
    assert.equal(10, kept)
    cluster:turn()
    assert.truthy(cluster.store:value("version/web/" .. versions(cluster)[1]))
  end)
end)
