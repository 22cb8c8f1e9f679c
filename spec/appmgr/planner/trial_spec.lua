local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")
local three_nodes = require("spec.support.desk_cluster").three_nodes

local function source(score)
  return ("return { api = 1, name = \"tried\", reads = { \"node.task_replicas\" }, score = function(task, node) return %s end }")
    :format(score)
end

describe("a policy on trial", function()
  local cluster

  before_each(function()
    cluster = three_nodes()
    cluster:task("web", { replication = 2 })
    cluster:task("db", { replication = 4 })
    cluster:settle()
  end)

  local function try(text, load)
    local tried = three_nodes()
    tried.store, tried.now = cluster.store, cluster.now
    tried:elect(text)
    tried:feed_all()
    tried.desk.load_again = load or tried.desk.load_again
    return tried.desk:handle({ type = "trial", now = cluster.now }, "")
  end

  it("may take over when it places everything or says why not", function()
    local answer = try(source("-node.task_replicas"))
    assert.same({ true, 0, {} }, { answer.ok, answer.changes, answer.summary })
    assert.same({ 0, 5 }, { answer.elsewhere, answer.replicas })
  end)

  it("shows how much it would place elsewhere", function()
    cluster:task("db", { replication = 1, max_per_node = 1 })
    cluster:settle()
    local answer = try(source("node.name == \"gamma\" and 1 or 0"))
    assert.is_true(answer.ok)
    assert.is_true(answer.elsewhere > 0)
  end)

  it("may not when it fails for one task, in whatever way", function()
    for score, reason in pairs({
      ['task.name == "web" and error("no") or 0'] = 'task "web": error: tried:1: no',
      ['task.name == "web" and 0/0 or 0'] = 'task "web": bad_result',
      ['task.name == "web" and node.nmae or 0'] = 'task "web": error',
    }) do
      local answer = try((source(score):gsub('name = "tried"', 'name = "x"')))
      assert.is_false(answer.ok)
      assert.truthy(answer.error:find(reason:match('^task "web": %a+'), 1, true), answer.error)
    end
  end)

  it("may not when it answers differently the second time", function()
    local loads = 0
    local answer = try(source("0"), function()
      loads = loads + 1
      local text = source(loads == 1 and 'node.name == "alpha" and 1 or 0' or 'node.name == "gamma" and 1 or 0')
      return Policy.load(core, { name = "tried", hash = "0", text = text })
    end)
    assert.is_false(answer.ok)
    assert.truthy(answer.error:find("not deterministic", 1, true))
  end)

  it("is not judged while nothing may be decided", function()
    cluster.store:delete("meta")
    cluster:node("alpha", { cluster = "another" })
    local answer = try(source("0"))
    assert.is_true(answer.ok)
    assert.truthy(answer.untried:find("the store has no meta", 1, true))
  end)
end)
