local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local json = core.json

describe("a planner that is only asked", function()
  local cluster

  before_each(function()
    cluster = desk_cluster.three_nodes()
    cluster:task("web", { replication = 3, condition = nil })
    cluster:settle()
  end)

  local function ask(header)
    local asked = desk_cluster.three_nodes()
    asked.store, asked.now = cluster.store, cluster.now
    asked:elect()
    asked:feed_all()
    header.now, header.placement = cluster.now, cluster.placement
    return asked.desk:handle(header, "")
  end

  local function steps(rows)
    local list = {}
    for _, row in ipairs(rows) do
      for _, step in ipairs(row.steps) do
        list[#list + 1] = ("%s: %s.%d %s %s"):format(row.name, step.task, step.slot, step.step, step.node)
      end
    end
    return list
  end

  it("plans nothing when there is nothing to do", function()
    local answer = ask({ type = "plan" })
    assert.same({ {}, {}, {} }, { answer.nodes, answer.tasks, answer.pending })
    assert.is_true(answer.index > 0)
    assert.same({ 0, true, "ok" }, { answer.way.steps, answer.way.is_whole, answer.way.outcome })
    assert.same({}, answer.way.nodes)
  end)

  it("goes the whole way of a rollout, of which the next decision is one step", function()
    cluster:task("web", { replication = 3, content = { command = "sleep 31" } })
    local before = cluster:slots()
    local answer = ask({ type = "plan" })
    assert.equal(1, #steps(answer.nodes))
    local all = {}
    for slot = 0, 2 do all[slot + 1] = ("web: web.%d update %s"):format(slot, before["web." .. slot]) end
    table.sort(all)
    local ends = steps(answer.way.tasks)
    table.sort(ends)
    assert.same(all, ends)
    assert.same({ 3, true }, { answer.way.steps, answer.way.is_whole })
    assert.same(before, cluster:slots())
  end)

  it("goes the whole way of a drain: first somebody else runs, then what was there is gone", function()
    cluster:task("web", { replication = 3, max_per_node = 2 })
    cluster:settle()
    local slots, drained = cluster:slots(), cluster:slots()["web.1"]
    cluster.store:put("node/" .. drained, '{"drain":true}')
    local answer = ask({ type = "plan" })
    assert.equal(1, #steps(answer.nodes))
    assert.truthy(steps(answer.nodes)[1]:find("web.3 start", 1, true))
    local ends = table.concat(steps(answer.way.tasks), "\n")
    assert.truthy(ends:find(("web.1 end %s"):format(drained), 1, true), ends)
    assert.truthy(ends:find("web.%d start"), ends)
    assert.is_true(answer.way.is_whole)
    assert.same({}, answer.way.pending)
    assert.same(slots, cluster:slots())
  end)

  it("says in the end what is pending for good", function()
    cluster:task("web", { replication = 5 })
    local answer = ask({ type = "plan" })
    assert.same({ "web", 2 }, { answer.way.pending[1].name, answer.way.pending[1].pending })
    assert.is_true(answer.way.is_whole)
  end)

  it("plans what documents would change, per node and per task, and writes nothing", function()
    local before = cluster.store.index
    local answer = ask({ type = "plan", tasks = {
      { name = "web", text = json.encode({ content = { command = "sleep 30" }, replication = 2 }) },
      { name = "db", text = json.encode({ content = { command = "sleep 31" }, replication = 1 }) },
      { name = "big", text = json.encode({ content = { command = "sleep 32" }, replication = 1, condition = { zone = "a" } }) },
    } })
    local slot = cluster:slots()["web.2"]
    local started = steps(answer.tasks)[1]
    assert.truthy(started:find("^db: db.0 start "))
    assert.equal(("web: web.2 stop %s"):format(slot), steps(answer.tasks)[2])
    assert.equal(2, #steps(answer.nodes))
    assert.equal("big", answer.pending[1].name)
    assert.truthy(answer.pending[1].reason:find("3 of 3 nodes: no label zone", 1, true))
    assert.equal(before, cluster.store.index)
  end)

  it("says what would wait for a confirmation, and what that is about", function()
    cluster:task("web", { replication = 12, max_per_node = 12 })
    cluster:settle()
    cluster.store:delete("task/web")
    local answer = ask({ type = "plan" })
    assert.same({}, steps(answer.nodes))
    -- In the end it has been confirmed.
    local ends = steps(answer.way.nodes)
    assert.equal(12, #ends)
    assert.truthy(ends[1]:find(" end ", 1, true))
    assert.same({ web = "removed" }, answer.confirm[1].subjects)
    assert.truthy(answer.restraints[1].text:find(answer.confirm[1].id, 1, true))
  end)

  it("gives no id for nodes that have just vanished before the leader has noted since when", function()
    cluster.store:delete("live/beta")
    cluster.store:delete("live/gamma")
    local answer = ask({ type = "plan" })
    assert.same({}, answer.confirm)
    assert.matches("2 of 3 nodes vanished .* in a moment", answer.restraints[1].text)
    cluster:settle()
    cluster.now = cluster.now + 5
    answer = ask({ type = "plan" })
    assert.truthy(answer.restraints[1].text:find("appmgr plan --confirm " .. answer.confirm[1].id, 1, true))
    assert.truthy(cluster:problem("live"):find(answer.confirm[1].id, 1, true))
  end)

  it("explains of each node why it may have a task or not", function()
    cluster:node("delta", { local_applications = { "web" } })
    local answer = ask({ type = "explain", task = "web" })
    assert.equal(4, #answer.nodes)
    assert.same({ 1, "max_per_node" }, { answer.nodes[1].replicas, answer.nodes[1].reasons[1].code })
    assert.equal("have an application of their own with that name", answer.nodes[3].reasons[1].text)
    assert.equal(0, answer.pending)
    assert.equal(1, #ask({ type = "explain", task = "web", node = "beta" }).nodes)
  end)

  it("says why a task cannot be explained", function()
    cluster.store:put("task/bad", "nonsense")
    assert.truthy(ask({ type = "explain", task = "bad" }).error)
    assert.equal("there is no such task", ask({ type = "explain", task = "none" }).error)
    assert.equal('there is no such task; did you mean "bad"?', ask({ type = "explain", task = "bda" }).error)
  end)
end)
