--- Nodes that vanish, on a whole desk: what is written, and what a new leader makes of it.
local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local json, count = core.json, desk_cluster.count

describe("a node that vanishes", function()
  local cluster

  local function cluster_with(placement)
    cluster = desk_cluster.three_nodes({ placement = placement })
    cluster:task("web", { replication = 3 })
    cluster:settle()
  end

  local function document(host)
    local text = cluster.store:value("assignment/" .. host)
    return text and json.decode(text)
  end

  local function pass(seconds)
    cluster.now = cluster.now + seconds
    cluster:settle()
  end

  it("without grace loses its replicas at once; that it is gone is remembered for a TTL", function()
    cluster_with({ session_ttl = 30 })
    cluster:task("web", { replication = 2 })
    cluster:settle()
    cluster:task("web", { replication = 2, max_per_node = 2 })
    cluster:lose("beta")
    cluster:settle()
    assert.equal(2, count(cluster:slots()))
    assert.same({}, document("beta").replicas)
    assert.is_nil(cluster.store:value("topology/beta"))
    pass(60)
    assert.is_nil(document("beta"))
  end)

  describe("with a grace of a minute", function()
    local since, before

    before_each(function()
      cluster_with({ session_ttl = 30, node_grace_seconds = 60 })
      before, since = cluster:slots(), cluster.now
      cluster:lose("beta")
      cluster:settle()
    end)

    it("keeps its replicas, and its assignment says since when it is gone", function()
      assert.equal(1, #document("beta").replicas)
      assert.equal(since, document("beta").gone_since)
      assert.equal('["web"]', cluster.store:value("topology/beta"))
      assert.truthy(cluster:problem("live/beta"):find('node "beta" is gone: its 1 replicas stay its own for up to 60 s more', 1, true))
    end)

    it("shows which replicas stay its own, and until when", function()
      local placement = { node_grace_seconds = 60, session_ttl = 30 }
      local asked = { type = "report", now = cluster.now + 5, placement = placement }
      local report = cluster.desk:handle(asked, "")
      local web = report.tasks[1]
      assert.same({ 3, 0 }, { web.assigned, web.pending })
      for _, slot in ipairs(web.slots) do
        local is_away = slot.node == "beta"
        assert.equal(is_away, slot.state == "away")
        assert.same(is_away and { since = since, until_time = since + 60 } or nil, slot.grace)
      end
      assert.same({ "beta", since, since + 60 }, { report.nodes[2].name, report.nodes[2].gone_since, report.nodes[2].grace_until })
      asked = { type = "explain", now = cluster.now + 5, placement = placement, task = "web" }
      local away = cluster.desk:handle(asked, "").away
      assert.same({ "beta", since + 60 }, { away[1].node, away[1].until_time })
    end)

    it("is back in time: nothing moves, and nothing is said any more", function()
      pass(30)
      cluster:node("beta")
      cluster:settle()
      assert.same(before, cluster:slots())
      assert.is_nil(document("beta").gone_since)
      assert.is_nil(cluster:problem("live/beta"))
    end)

    it("is judged the same by a new leader", function()
      cluster:elect()
      pass(20)
      assert.equal(since, document("beta").gone_since)
      assert.equal(1, #document("beta").replicas)
    end)

    it("loses them when the minute is over; what was started elsewhere stays there when it is back", function()
      cluster:node("delta")
      cluster:settle()
      assert.equal(2, count(cluster:slots()))
      pass(60)
      local moved = cluster:slots()
      assert.equal(3, count(moved))
      cluster:node("beta")
      cluster:settle()
      assert.same(moved, cluster:slots())
      assert.same({}, document("beta").replicas)
      for _, hosts in pairs(cluster:running()) do assert.equal(1, #hosts) end
    end)

    it("is waited for with a decision when the time is over", function()
      assert.is_true(cluster.last.retry_s <= 60)
    end)

    it("that left and is back before that is written keeps what its assignment says", function()
      cluster:lose("gamma")
      cluster.store:put("live/gamma", '{"left":true}')
      cluster:feed_all()
      local _, batches = cluster:decide()
      cluster:node("gamma")
      assert.equal(0, cluster:commit(batches))
      cluster:settle()
      assert.equal(before["web.2"], cluster:slots()["web.2"])
    end)

    it("that left on purpose is not waited for, and its farewell is deleted", function()
      cluster:node("delta")
      cluster:settle()
      cluster:lose("gamma")
      cluster.store:put("live/gamma", '{"left":true}')
      cluster:settle()
      assert.is_nil(document("gamma"))
      assert.is_nil(cluster.store:value("live/gamma"))
      assert.equal(2, count(cluster:slots()))
      assert.equal(1, count(cluster:slots(), "delta"))
    end)
  end)

  it("keeps what may never run twice until it is surely stopped", function()
    cluster_with({ session_ttl = 30 })
    cluster:task("one", { replication = 3, on_disconnect = { stop_after_seconds = 20 } })
    cluster:settle()
    cluster:lose("beta")
    cluster:node("delta")
    cluster:settle()
    local function running(task)
      local number = 0
      for slot in pairs(cluster:slots()) do number = number + (slot:find("^" .. task) and 1 or 0) end
      return number
    end
    assert.same({ 1, "one" }, { #document("beta").replicas, document("beta").replicas[1].task })
    assert.same({ 3, 2 }, { running("web"), running("one") })
    pass(40)
    assert.same({ 3, 3 }, { running("web"), running("one") })
  end)

  describe("with what may never run twice", function()
    local document_of_one

    local function elsewhere()
      return cluster:slots()["one.1"]
    end

    -- Of one second each.
    local function some_turns()
      for _ = 1, 6 do cluster:turn() end
    end

    before_each(function()
      cluster = desk_cluster.three_nodes({ placement = { session_ttl = 30 } })
      document_of_one = { replication = 3, on_disconnect = { stop_after_seconds = 20 } }
      cluster:task("one", document_of_one)
      cluster:settle()
      assert.equal("beta", elsewhere())
      cluster:lose("beta")
      cluster:node("delta")
      some_turns()
    end)

    for what, change in pairs({
      ["was removed and made again"] = function() cluster.store:delete("task/one") end,
      ["could not be read for a moment"] = function() cluster.store:put("task/one", "{") end,
      ["is to go on without Consul now, of which the node knows nothing"] = function()
        document_of_one.on_disconnect = "keep"
        cluster:task("one", document_of_one)
      end,
      ["is to stop sooner now, of which the node knows nothing"] = function()
        document_of_one.on_disconnect = { stop_after_seconds = 5 }
        cluster:task("one", document_of_one)
      end,
    }) do
      it(what .. ", waits until that is surely stopped", function()
        change()
        some_turns()
        cluster:task("one", document_of_one)
        some_turns()
        assert.is_nil(elsewhere())
        assert.equal(1, #document("beta").replicas)
        pass(60)
        assert.truthy(elsewhere())
      end)
    end

    for what, damage in pairs({
      ["was emptied"] = function() cluster.store:put("assignment/beta", '{"replicas":[]}') end,
      ["was broken"] = function() cluster.store:put("assignment/beta", "garbage") end,
      ["got another slot"] = function()
        local found = document("beta")
        found.gone_since, found.replicas[2] = nil, { task = "evil", slot = 0, version = "00", since = 0 }
        cluster.store:put("assignment/beta", json.encode(found))
      end,
    }) do
      it("and whose assignment somebody else wrote (" .. what .. ") is waited for all the same", function()
        damage()
        cluster:feed_all()
        some_turns()
        assert.is_nil(elsewhere())
        assert.equal("one", document("beta").replicas[1].task)
        pass(60)
        assert.truthy(elsewhere())
        pass(60)
        assert.is_nil(document("beta"))
      end)
    end

    it("whose document cannot be read keeps it", function()
      cluster.store:put("task/one", "{")
      pass(500)
      assert.equal(1, #document("beta").replicas)
      cluster:node("beta")
      cluster:settle()
      assert.equal("beta", elsewhere())
    end)
  end)

  it("with most of the others moves nothing until somebody says that they are gone for good", function()
    cluster_with({ session_ttl = 30 })
    cluster:task("web", { replication = 3, max_per_node = 3 })
    cluster:settle()
    cluster:lose("beta")
    cluster:settle()
    assert.equal(3, count(cluster:slots()))
    cluster:lose("gamma")
    cluster:settle()
    local alone = count(cluster:slots(), "alpha")
    assert.is_true(alone < 3)
    local text = cluster:problem("live")
    assert.truthy(text:find("2 of 3 nodes vanished at about the same time (beta, gamma)", 1, true), text)
    assert.is_true(cluster.last.awaits_confirmation)
    pass(500)
    assert.equal(alone, count(cluster:slots(), "alpha"))
    local id = text:match("%-%-confirm ([%w-]+)")
    cluster.store:put("confirm/" .. id, json.encode({ at = cluster.now }))
    cluster:settle()
    assert.equal(3, count(cluster:slots(), "alpha"))
    pass(1000)
    assert.is_nil(cluster.store:value("confirm/" .. id))
    assert.is_nil(document("gamma"))
  end)
end)

describe("the brake on a desk", function()
  local cluster

  before_each(function()
    cluster = desk_cluster.three_nodes()
    cluster:task("web", { replication = 12, max_per_node = 12 })
    cluster:task("db", { replication = 3 })
    cluster:settle()
  end)

  local function total(task)
    local number = 0
    for slot in pairs(cluster:slots()) do number = number + (slot:find("^" .. task .. "%.") and 1 or 0) end
    return number
  end

  it("holds back the stops of a task that vanished; everything else goes on", function()
    cluster.store:delete("task/web")
    cluster:task("new", { replication = 2 })
    cluster:settle()
    assert.same({ 12, 3, 2 }, { total("web"), total("db"), total("new") })
    local text = cluster:problem("brake")
    assert.truthy(text:find("12 of 17 replicas would be stopped at once (12 of web)", 1, true), text)
    cluster:elect()
    cluster:settle()
    assert.equal(text, cluster:problem("brake"))
    local id = text:match("%-%-confirm ([%w-]+)")
    cluster.store:put("confirm/" .. id, json.encode({ at = cluster.now, subjects = { web = "removed" } }))
    cluster:settle()
    assert.same({ 0, 3, 2 }, { total("web"), total("db"), total("new") })
    assert.is_nil(cluster:problem("brake"))
  end)

  it("lets the document come back as if nothing had been", function()
    local before = cluster:slots()
    cluster.store:delete("task/web")
    cluster:settle()
    cluster:task("web", { replication = 12, max_per_node = 12 })
    cluster:settle()
    assert.same(before, cluster:slots())
    assert.is_nil(cluster:problem("brake"))
  end)

  it("lets small changes through", function()
    cluster:task("web", { replication = 8, max_per_node = 12 })
    cluster:settle()
    assert.equal(8, total("web"))
  end)

  it("limits how many replicas start in a second", function()
    cluster.placement = { session_ttl = 0, starts_per_second = 4 }
    cluster:task("new", { replication = 9, max_per_node = 9 })
    cluster:turn()
    assert.equal(4, total("new"))
    assert.equal(1, cluster.last.retry_s)
    assert.truthy(cluster:problem("pace"):find("more replicas are to start: at most 4", 1, true))
    cluster:turn()
    assert.equal(8, total("new"))
    cluster:turn()
    assert.equal(9, total("new"))
    assert.is_nil(cluster:problem("pace"))
  end)
end)
