local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local json = core.json

local LEAST_LOADED = [[return { api = 1, name = "least", reads = { "node.load" },
  score = function(_, node) return -(node.load.cpu or 0) end }]]

describe("measured load", function()
  local function answer_of(percents)
    local results = {}
    for host, percent in pairs(percents) do
      results[#results + 1] = { KV = {
        Key = ("appmgr/status/%s/resource"):format(host), ModifyIndex = 5, Flags = 0, LockIndex = 0,
        Value = core.codec.base64_encode(json.encode({ load_percent = percent })),
      } }
    end
    return json.encode({ Results = json.array(results), Index = 5 })
  end

  it("is asked for of all live nodes, when the policy looks at it and not else", function()
    local cluster = desk_cluster.three_nodes({ source = LEAST_LOADED })
    cluster:feed_all()
    assert.same({ "alpha", "beta", "gamma" }, cluster:decide().load_hosts)
    cluster = desk_cluster.three_nodes()
    cluster:feed_all()
    assert.is_nil(cluster:decide().load_hosts)
  end)

  it("decides where a new replica goes, and moves none", function()
    local cluster = desk_cluster.three_nodes({ source = LEAST_LOADED })
    cluster:task("web")
    cluster:settle()
    assert.equal("alpha", cluster:slots()["web.0"])
    cluster:feed("load", answer_of({ alpha = { cpu = 90 }, beta = { cpu = 50, memory = 20 }, gamma = { cpu = 10 } }))
    cluster:task("new")
    cluster:settle()
    assert.same({ ["web.0"] = "alpha", ["new.0"] = "gamma" }, cluster:slots())
  end)

  it("is not known where what was written is nonsense, and gone with its node", function()
    local cluster = desk_cluster.three_nodes({ source = LEAST_LOADED })
    cluster:feed_all()
    cluster:feed("load", answer_of({
      alpha = { cpu = "much" }, beta = { cpu = -5, memory = 101 }, gamma = { cpu = 30 }, omega = { cpu = 30 },
    }))
    local function load_of(name)
      for _, node in ipairs(cluster.desk.model.nodes:list()) do
        if node.name == name then return node.load end
      end
    end
    assert.same({}, load_of("alpha"))
    assert.same({}, load_of("beta"))
    assert.same({ cpu = 30 }, load_of("gamma"))
    cluster:lose("gamma")
    cluster:feed_trees()
    cluster:node("gamma")
    cluster:feed_trees()
    assert.is_nil(load_of("gamma"))
  end)

  it("is refused to a policy that does not declare it", function()
    local cluster = desk_cluster.three_nodes({ source = 'return { api = 1, name = "x", score = function(_, n) return n.load.cpu end }' })
    cluster:task("web")
    cluster:settle()
    local problem = cluster:problem("task/web")
    assert.truthy(problem:find('reads = { "node.load" }', 1, true), problem)
  end)
end)
