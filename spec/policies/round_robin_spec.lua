local Cluster = require("spec.support.cluster")

local function nodes(count)
  local cluster = Cluster.new({ policy = "round_robin" })
  for number = 1, count do cluster:node("n" .. number) end
  return cluster
end

describe("round_robin", function()
  it("goes round the nodes in the order of their names", function()
    local cluster = nodes(3)
    for _, name in ipairs({ "a", "b", "c", "d" }) do cluster:task(name) end
    cluster:settle()
    assert.same({ ["a.0"] = "n1", ["b.0"] = "n2", ["c.0"] = "n3", ["d.0"] = "n1" }, cluster:slots())
  end)

  it("goes on where it stopped, also under a new leader", function()
    local cluster = nodes(3)
    cluster:task("a", { replication = 2 })
    cluster:settle()
    cluster:elect()
    cluster:task("b")
    cluster:settle()
    assert.equal("n3", cluster:slots()["b.0"])
  end)

  it("passes over a node that may not have it", function()
    local cluster = nodes(3)
    cluster.store:put("node/n2", '{"drain":true}')
    cluster:task("a", { replication = 2 })
    cluster:settle()
    assert.same({ ["a.0"] = "n1", ["a.1"] = "n3" }, cluster:slots())
  end)

  it("has time enough for many replicas on many nodes", function()
    local cluster = nodes(300)
    cluster:task("a", { replication = 300 })
    cluster:turn()
    cluster:turn()
    assert.equal("ok", cluster.last.outcome, cluster.last.outcome_message)
    assert.truthy(cluster:slots()["a.299"])
  end)
end)
