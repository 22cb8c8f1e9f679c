local Cluster = require("spec.support.cluster")
local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local three_nodes = desk_cluster.three_nodes
local json = core.json

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

  it("refuses options that the policy does not declare", function()
    local cluster = three_nodes()
    local answer = cluster.desk:handle({
      type = "configure", policy = { name = "p", hash = "h", options = { margin = 1 } },
    }, 'return { api = 1, name = "p", score = function() return 0 end }')
    assert.is_false(answer.ok)
    assert.truthy(answer.error:find("takes no options", 1, true))
  end)

  it("goes on watching while it waits for an audit", function()
    local cluster = three_nodes()
    cluster:task("web")
    cluster:settle()
    cluster.store:put("node/alpha", '{"drain":{"deadline":1}}')
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

  it("reports of each slot what its node says of the process, and how it ended, whatever nonsense that is", function()
    local cluster = three_nodes()
    cluster:task("web", { replication = 1 })
    cluster:settle()
    local function slot_of(row)
      row.name, row.task, row.slot = "web", "web", 0
      cluster.store:put("status/alpha/applications", json.encode({ web = row }))
      cluster:feed("status", cluster.store:listing("status/alpha/applications"), "alpha")
      local slot = cluster.desk:handle({ type = "report", now = cluster.now }, "").tasks[1].slots[1]
      return { slot.error, slot.pid, slot.memory, slot.cpu, slot.restarts }
    end
    assert.same({ nil, 7, 4096, 1.5, 2 }, slot_of({ state = "running", pid = 7, memory = 4096, cpu = 1.5, restarts = 2, ["return"] = 3 }))
    assert.same({ "ended with 3" }, slot_of({ state = "backoff", ["return"] = 3 }))
    assert.same({ "ended with 0" }, slot_of({ state = "failed", ["return"] = 0 }))
    assert.same({}, slot_of({ state = "waiting", ["return"] = 3 }))
    assert.same({}, slot_of({ state = "failed", ["return"] = "x", pid = {}, memory = 0.5, cpu = "much", restarts = true }))
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
    cluster:task("new", { replication = 2, service = { name = "x" } })
    cluster:task("old", { replication = 2 })
    cluster:settle()
    cluster:task("old", { replication = 3, service = { name = "x" } })
    cluster:settle()
    local report = cluster.desk:handle({ type = "report", now = cluster.now }, "")
    local new, old = report.tasks[1], report.tasks[2]
    assert.same({ 0, 2 }, { new.assigned, new.pending })
    assert.same({ 2, 1 }, { old.assigned, old.pending })
    assert.truthy(new.reason:find("service", 1, true))
  end)

  it("says that a policy fails for some tasks, not altogether, once it did well for another", function()
    local cluster = Cluster.new({ source = [[return { api = 1, name = "some", score = function(task)
      if task.priority > 0 then error("not this one") end
      return 1 end }]] })
    cluster:node("a")
    cluster:task("well", {})
    cluster:task("bad1", { priority = 1 })
    cluster:task("bad2", { priority = 1 })
    assert.equal("ok", cluster:turn().outcome)
    cluster:settle()
    -- Only those that failed are asked about again.
    cluster:node("b")
    local header = cluster:turn()
    assert.equal("ok", header.outcome)
    assert.equal(2, #header.failures)
  end)
end)
