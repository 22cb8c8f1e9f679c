local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local count, three_nodes = desk_cluster.count, desk_cluster.three_nodes
local json = core.json

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
    cluster:task("web", { service = { name = "web" } })
    cluster:settle()
    assert.same({}, cluster:slots())
    assert.equal('task "web": pending: it asks for what this version does not honour: service',
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
