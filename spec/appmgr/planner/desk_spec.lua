local Cluster = require("spec.support.cluster")
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")

local json = core.json

local function count(slots, host)
  local total = 0
  for _, name in pairs(slots) do
    if name == host or host == nil then total = total + 1 end
  end
  return total
end

local function three_nodes(options)
  local cluster = Cluster.new(options)
  for _, name in ipairs({ "alpha", "beta", "gamma" }) do cluster:node(name) end
  return cluster
end

describe("a new cluster", function()
  it("gets its identity and the folder of tasks before anything else", function()
    local cluster = three_nodes()
    cluster:task("web")
    local header = cluster:turn()
    assert.equal("ok", header.outcome)
    assert.is_nil(header.frozen)
    assert.equal('{"cluster":"cluster-1","schema":1}', cluster.store:value("meta"))
    assert.equal("", cluster.store:value("task/"))
    assert.equal("", cluster.store:value("node/"))
    assert.is_nil(cluster.store:value("assignment/alpha"))
    cluster:turn()
    assert.equal(1, count(cluster:slots()))
  end)

  it("is not founded twice while the listing that shows it is still on its way", function()
    local cluster = three_nodes()
    cluster:feed_all()
    local header, batches = cluster:decide()
    assert.same({}, header.problems)
    assert.equal(1, cluster:commit(batches))
    header, batches = cluster:decide()
    assert.same({}, batches)
    assert.same({}, header.problems)
    cluster:feed_all()
    assert.same({}, cluster:decide().problems)
  end)

  it("says that its folder of tasks cannot be seen, once it should be there", function()
    local cluster = three_nodes()
    cluster.store:put("task/", "")
    cluster:feed_all()
    cluster:feed("task", nil)
    local _, batches = cluster:decide()
    assert.equal(0, cluster:commit(batches))
    cluster:feed("audit", cluster.store:audit())
    cluster.last = cluster:decide()
    assert.truthy(cluster:problem("feed/task"):find("may read appmgr/task/", 1, true))
  end)

  describe("whose folder of intents", function()
    local cluster

    before_each(function()
      cluster = three_nodes()
      cluster:task("web")
      cluster:settle()
      cluster.store:delete("node/")
    end)

    it("vanished gets it again", function()
      cluster:turn()
      assert.equal("", cluster.store:value("node/"))
      cluster.store:put("node/beta", '{"drain":true}')
      cluster.store:delete("node/")
      cluster:turn()
      assert.equal("", cluster.store:value("node/"))
    end)

    it("cannot be seen goes on, and tries to write it once", function()
      cluster.store:put("node/", "")
      cluster:feed_trees()
      cluster:feed("node", nil)
      local _, batches = cluster:decide()
      assert.equal(0, cluster:commit(batches))
      cluster:audit()
      cluster:task("db")
      cluster:feed("task", cluster.store:listing("task/"))
      _, batches = cluster:decide()
      assert.equal(#batches, cluster:commit(batches))
      assert.truthy(cluster:slots()["db.0"])
    end)

    it("was seen again after it could not be, gets it when it vanishes later", function()
      cluster.store:put("node/", "")
      cluster:feed_trees()
      cluster:feed("node", nil)
      cluster:commit(select(2, cluster:decide()))
      cluster:settle()
      cluster.store:delete("node/")
      cluster:turn()
      assert.equal("", cluster.store:value("node/"))
    end)
  end)

  it("gives every live node its keys, even empty ones", function()
    local cluster = three_nodes()
    cluster:settle()
    assert.equal('{"replicas":[]}', cluster.store:value("assignment/gamma"))
    assert.equal("[]", cluster.store:value("topology/gamma"))
  end)

  it("does nothing before everything was read", function()
    local cluster = three_nodes()
    local header = cluster:decide()
    assert.equal("not everything has been read yet: task, live, node, version, audit", header.frozen)
  end)
end)

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
    cluster.store:put("node/alpha", '{"drain":true}')
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
      cluster.store:put("node/" .. holder, '{"drain":true}')
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
      for _, intent in ipairs({ '{"drain":false}', '{"drain":true}' }) do
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
      cluster.store:put("node/beta", '{"drain":true}')
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
    cluster.store:put("node/alpha", '{"drain":true}')
    cluster:feed_all()
    cluster:feed("status", cluster.store:listing("status/alpha/applications"), "alpha")
    assert.same({ "web.0 leaves alpha" }, cluster:decide().summary)
  end)

  it("keeps a leaving slot when the reason goes away in time", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.store:put("node/alpha", '{"drain":true}')
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

  it("counts what still leaves against max_per_node", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local holder = {}
    for slot, host in pairs(cluster:slots()) do holder[slot] = host end
    cluster:task("web", { replication = 1 })
    cluster:lose(holder["web.0"])
    cluster.lazy = function() return true end
    cluster:turn()
    assert.same({}, cluster:slots())
    assert.truthy(cluster:problem("task/web"):find("2 of 2 nodes: have max_per_node", 1, true))
    cluster.lazy = nil
    cluster:settle()
    assert.equal(1, count(cluster:slots()))
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

describe("a version that vanishes", function()
  local cluster, first

  local function version_of(command)
    return core.codec.sha256(json.encode({ command = command })):sub(1, 16)
  end

  before_each(function()
    cluster = three_nodes()
    cluster:task("web", { replication = 2 })
    cluster:settle()
    first = "version/web/" .. version_of("sleep 30")
    assert.equal('{"command":"sleep 30"}', cluster.store:value(first))
  end)

  it("is written again, for slots that only stay", function()
    cluster.store:delete(first)
    cluster:turn()
    assert.is_nil(cluster.store:value(first))
    cluster.now = cluster.now + 50
    cluster:turn()
    assert.equal('{"command":"sleep 30"}', cluster.store:value(first))
    assert.is_nil(cluster:problem(first))
    assert.equal(0, select(2, cluster:turn()))
  end)

  it("and whose text nobody has any more is told, as long as a slot has it", function()
    cluster.refuses[version_of("false")] = true
    cluster:task("web", { replication = 2, content = { command = "false" } })
    cluster:settle()
    cluster.store:delete(first)
    cluster:settle()
    assert.equal(('task "web": %s is not in Consul any more and its text is not known: a slot that has it cannot be '
      .. "started anew before it gets the task's current version"):format(first), cluster:problem(first))
    cluster:task("web", { replication = 2, content = { command = "true" } })
    cluster:settle()
    assert.is_nil(cluster:problem(first))
  end)

  it("together with its task is nobody's problem", function()
    cluster.store:delete(first)
    cluster.store:delete("task/web")
    cluster.lazy = function() return true end
    cluster.audit_due_at = cluster.now
    cluster:turn()
    assert.is_nil(cluster:problem(first))
  end)

  it("in a deletion of our own whose answer was lost is written when it is needed", function()
    for number = 1, 10 do
      cluster:task("web", { replication = 2, content = { command = "sleep 30" .. number } })
      if number == 10 then break end
      cluster:settle()
    end
    -- The one decision that takes the oldest version away is written, and nobody hears of it.
    repeat
      cluster:feed_trees()
      local header, batches = cluster:decide()
      for position, batch in ipairs(batches) do
        local is_deletion = batch:find('"delete"', 1, true)
        local status, answer = cluster.store:transaction(batch)
        cluster.desk:handle({ type = "committed", batch = position, status = is_deletion and 0 or status },
          is_deletion and "" or answer)
      end
      for _, name in ipairs(cluster:node_names()) do cluster:run(name) end
      for _, host in ipairs(header.status_hosts) do
        cluster:feed("status", cluster.store:listing("status/" .. host .. "/applications"), host)
      end
      cluster.now = cluster.now + 1
    until not cluster.store:value(first)
    cluster:task("web", { replication = 2 })
    cluster:settle()
    assert.equal('{"command":"sleep 30"}', cluster.store:value(first))
  end)

  it("only from the listing, as a token without permission sees it, is tried once and told", function()
    cluster.store.key_listing = function() return nil end
    cluster:settle()
    local tries = 0
    for _ = 1, 5 do
      cluster.audit_due_at = cluster.now
      cluster:feed_all()
      local _, batches = cluster:decide()
      tries = tries + #batches
      cluster:commit(batches)
    end
    assert.equal(0, tries)
    cluster:turn()
    assert.truthy(cluster:problem("feed/version"):find("may list appmgr/version/", 1, true))
    cluster.store.key_listing = nil
    cluster:settle()
    assert.is_nil(cluster:problem("feed/version"))
  end)
end)

describe("bad documents", function()
  it("freeze their own task and nothing else", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 2 })
    cluster:task("db")
    cluster:settle()
    local before = cluster:slots()
    cluster.store:put("task/web", "{ broken")
    cluster:task("new")
    cluster:settle()
    before["new.0"] = cluster:slots()["new.0"]
    assert.is_string(before["new.0"])
    assert.same(before, cluster:slots())
    assert.truthy(cluster:problem("task/web"):find("no valid JSON", 1, true))
    cluster:lose(before["web.1"])
    cluster:settle()
    assert.is_nil(cluster:slots()["web.1"])
    cluster:task("web", { replication = 2 })
    cluster:settle()
    assert.truthy(cluster:slots()["web.1"])
    assert.is_nil(cluster:problem("task/web"))
  end)

  it("hold back a task that asks for what cannot be honoured", function()
    local cluster = three_nodes()
    cluster:task("web", { constraints = json.array({ { attribute = "zone" } }) })
    cluster:settle()
    assert.same({}, cluster:slots())
    assert.equal('task "web": pending: it asks for what this version does not honour: constraints',
      cluster:problem("task/web"))
  end)

  it("are said under their key when they stand too deep or have a bad name", function()
    local cluster = three_nodes()
    cluster.store:put("task/a/b", '{"content":{"command":"x"}}')
    cluster.store:put("task/folder/", "")
    cluster.store:put("task/a b", '{"content":{"command":"x"}}')
    cluster:settle()
    assert.truthy(cluster:problem("task/a/b"))
    assert.truthy(cluster:problem("task/a b"))
    assert.is_nil(cluster:problem("task/folder/"))
  end)

  it("of a node keep what it has and give it nothing new", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    cluster.store:put("live/beta", "nonsense", "session-beta")
    cluster.store:put("node/gamma", "nonsense")
    cluster:task("db", { replication = 3 })
    cluster:settle()
    local slots = cluster:slots()
    assert.equal(3 + 1, count(slots))
    assert.equal("alpha", slots["db.0"])
    assert.truthy(cluster:problem("live/beta"))
    assert.truthy(cluster:problem("node/gamma"))
  end)
end)

describe("answers that say nothing", function()
  local function settled()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    return cluster
  end

  local function nothing_changes(cluster)
    local before = cluster.store.index
    local header, batches = cluster:decide()
    cluster:commit(batches)
    assert.equal(before, cluster.store.index)
    cluster.last = header
    return header
  end

  it("change nothing: half a body, HTML, no JSON", function()
    local cluster = settled()
    for _, topic in ipairs({ "task", "live", "node", "version", "audit" }) do
      for _, body in ipairs({ "", "[", "<html>", "7", "null", '[{"Key":"other/x"}]', '[{"Key":"appmgr/task/","Value":"%%"}]' }) do
        cluster:feed(topic, body)
        nothing_changes(cluster)
      end
    end
    assert.truthy(cluster:problem("feed/task"))
    cluster:feed_all()
    nothing_changes(cluster)
    assert.is_nil(cluster:problem("feed/task"))
  end)

  it("change nothing: a listing of tasks without its folder key, an empty live/", function()
    local cluster = settled()
    cluster:feed("task", nil)
    local header = cluster:decide()
    assert.truthy(json.encode(header.problems):find("folder key", 1, true))
    cluster:feed_all()
    cluster:feed("live", nil)
    assert.truthy(nothing_changes(cluster).frozen:find("lists no node", 1, true))
    cluster:feed_all()
    assert.is_nil(nothing_changes(cluster).frozen)
  end)

  it("keep out a live key that no session holds", function()
    local cluster = settled()
    cluster.store:put("live/ghost", "{}")
    cluster:settle()
    assert.is_nil(cluster.store:value("assignment/ghost"))
  end)
end)

describe("identity", function()
  it("freezes a store without meta while anybody knows a cluster", function()
    local cluster = three_nodes()
    cluster:node("beta", { cluster = "cluster-0" })
    assert.truthy(cluster:turn().frozen:find("beta knows a cluster", 1, true))
    cluster:node("beta")
    cluster.known_cluster = "cluster-0"
    assert.truthy(cluster:turn().frozen:find("this agent knows cluster cluster-0", 1, true))
    assert.is_nil(cluster.store:value("meta"))
  end)

  it("freezes a store of another cluster, until it is accepted", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.known_cluster = "cluster-0"
    cluster.store:put("task/web", '{"content":{"command":"x"},"replication":0}')
    assert.truthy(cluster:turn().frozen)
    assert.equal(1, count(cluster:slots()))
    cluster.store:put("meta", '{"schema":1,"cluster":"cluster-1","accepted":["cluster-0"]}')
    cluster:settle()
    assert.equal(0, count(cluster:slots()))
  end)

  it("freezes when most nodes know another cluster, leaves out one that is a stranger", function()
    local cluster = three_nodes()
    cluster.known_cluster = "cluster-1"
    for _, name in ipairs({ "alpha", "beta", "gamma" }) do cluster:node(name, { cluster = "cluster-1" }) end
    cluster.store:put("meta", '{"schema":1,"cluster":"cluster-1"}')
    cluster:node("delta", { cluster = "cluster-9" })
    cluster:task("web", { replication = 4 })
    cluster:settle()
    assert.equal(3, count(cluster:slots()))
    assert.truthy(cluster:problem("live/delta"):find("cluster accept", 1, true))
    for _, name in ipairs({ "alpha", "beta" }) do cluster:node(name, { cluster = "cluster-9" }) end
    assert.truthy(cluster:turn().frozen:find("alpha, beta, delta", 1, true))
  end)

  it("freezes on a meta it does not understand", function()
    local cluster = three_nodes()
    for _, text in ipairs({ "x", "{}", '{"schema":2,"cluster":"c"}' }) do
      cluster.store:put("meta", text)
      assert.truthy(cluster:turn().frozen)
    end
  end)
end)

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

describe("a new term", function()
  it("decides the same from the store alone", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 5, max_per_node = 2 })
    cluster:task("log", { replication = "all" })
    cluster:settle()
    local index = cluster.store.index
    cluster:elect()
    cluster:settle()
    assert.equal(index, cluster.store.index)
  end)

  it("goes on with a rollout and with slots that leave", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    cluster:task("web", { replication = 3, content = { command = "true" } })
    cluster.store:put("node/gamma", '{"drain":true}')
    cluster:turn()
    cluster:elect()
    cluster:settle()
    assert.equal(2, count(cluster:slots()))
    assert.equal(0, count(cluster:slots(), "gamma"))
  end)

  it("recovers an unreadable assignment from what the node shows", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 3 })
    cluster:settle()
    local before = cluster:slots()
    cluster.store:put("assignment/beta", "garbage")
    cluster:task("db")
    cluster:elect()
    cluster:feed_all()
    local header, batches = cluster:decide()
    assert.same({ "beta" }, header.status_hosts)
    for _, batch in ipairs(batches) do assert.is_nil(batch:find("assignment/beta", 1, true)) end
    cluster:settle()
    local after = cluster:slots()
    assert.truthy(after["db.0"])
    after["db.0"] = nil
    assert.same(before, after)
  end)

  it("in the same planner forgets what the earlier one decided", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.term = cluster.term + 1
    local header, batches = cluster:decide()
    assert.truthy(header.frozen:find("audit", 1, true))
    assert.is_true(header.audit)
    assert.same({}, batches)
    cluster:settle()
    assert.equal(1, count(cluster:slots()))
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

describe("the desk", function()
  it("reports without a policy, and says why there is none", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster.store:put("task/", "")
    cluster.desk = require("appmgr.planner.desk").new(core)
    cluster.desk:handle({ type = "configure", prefix = "appmgr", policy_error = "it hung" }, "")
    cluster:feed_all()
    local report = cluster.desk:handle({ type = "report", now = 1 }, "")
    assert.truthy(report.tasks[1].reason:find("it hung", 1, true))
  end)

  it("refuses options, which no policy takes yet", function()
    local cluster = three_nodes()
    local answer = cluster.desk:handle({
      type = "configure", policy = { name = "p", hash = "h", options = { margin = 1 } },
    }, "return {}")
    assert.is_false(answer.ok)
    assert.truthy(answer.error:find("takes no options", 1, true))
  end)

  it("goes on watching while it waits for an audit", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.store:put("node/alpha", '{"drain":true}')
    cluster.lazy = function() return true end
    cluster:turn()
    cluster.desk.model.needs_audit = true
    assert.same({ "alpha" }, cluster:decide().status_hosts)
  end)

  it("answers what it does not know", function()
    local cluster = three_nodes()
    assert.equal("error", cluster.desk:handle({ type = "dance" }, "").type)
    local fresh = require("appmgr.planner.desk").new(core)
    assert.equal("error", fresh:handle({ type = "decide" }, "").type)
  end)

  it("reports tasks and nodes", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 4 })
    cluster:task("broken", { replication = -1 })
    cluster:settle()
    for name in pairs(cluster.nodes) do
      cluster:feed("status", cluster.store:listing("status/" .. name .. "/applications"), name)
    end
    local report = cluster.desk:handle({ type = "report", now = cluster.now }, "")
    local broken, web = report.tasks[1], report.tasks[2]
    assert.truthy(broken.error:find("replication", 1, true))
    assert.same({ "web", 4, 3, 3, 1 }, { web.name, web.replication, web.running, web.assigned, web.pending })
    assert.same({ slot = 0, node = "alpha", version = web.version, since = web.slots[1].since, state = "running" },
      web.slots[1])
    assert.equal("max_per_node", web.reasons[1].code)
    assert.equal(3, web.reasons[1].count)
    assert.equal("3 of 3 nodes: have max_per_node (1) of it", web.reason)
    assert.same({ "alpha", 1, 1, true }, {
      report.nodes[1].name, report.nodes[1].replicas, report.nodes[1].running, report.nodes[1].eligible,
    })
    assert.truthy(json.encode(report))
  end)

  it("reports why a slot does not run, as its node says", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 1 })
    cluster:settle()
    cluster.store:put("status/alpha/applications", json.encode({
      web = { name = "web", task = "web", slot = 0, state = "failed", error = "ENOENT: exec x" },
    }))
    cluster:feed("status", cluster.store:listing("status/alpha/applications"), "alpha")
    local report = cluster.desk:handle({ type = "report", now = cluster.now }, "")
    assert.equal("ENOENT: exec x", report.tasks[1].slots[1].error)
  end)

  it("reports as pending what the leader has not placed, though it could be", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 2 })
    cluster:settle()
    cluster:task("web", { replication = 3 })
    cluster:task("new")
    cluster:feed_all()
    local report = cluster.desk:handle({ type = "report", now = cluster.now }, "")
    local new, web = report.tasks[1], report.tasks[2]
    assert.same({ 0, 1 }, { new.assigned, new.pending })
    assert.same({ 2, 1 }, { web.assigned, web.pending })
    assert.truthy(web.reason:find("the leader has not placed it yet", 1, true))
  end)

  it("reports what a task lacks that asks for what is not honoured", function()
    local cluster = three_nodes()
    cluster:task("new", { replication = 2, constraints = {} })
    cluster:task("old", { replication = 2 })
    cluster:settle()
    cluster:task("old", { replication = 3, constraints = {} })
    cluster:settle()
    local report = cluster.desk:handle({ type = "report", now = cluster.now }, "")
    local new, old = report.tasks[1], report.tasks[2]
    assert.same({ 0, 2 }, { new.assigned, new.pending })
    assert.same({ 2, 1 }, { old.assigned, old.pending })
    assert.truthy(new.reason:find("constraints", 1, true))
  end)
end)
