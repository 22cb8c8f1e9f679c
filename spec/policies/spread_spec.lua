local Cluster = require("spec.support.cluster")

local function loads(cluster, task)
  local count, list = {}, {}
  for _, name in ipairs(cluster:node_names()) do count[name] = 0 end
  for slot, host in pairs(cluster:slots()) do
    if not task or slot:match("^(.*)%.") == task then count[host] = count[host] + 1 end
  end
  for _, name in ipairs(cluster:node_names()) do list[#list + 1] = count[name] end
  return list
end

local function nodes(count)
  local cluster = Cluster.new({ policy = "spread" })
  for number = 1, count do cluster:node("n" .. number) end
  return cluster
end

describe("spread", function()
  it("spreads a task first, then the total", function()
    local cluster = nodes(4)
    cluster:task("a", { replication = 2 })
    cluster:task("b", { replication = 6, max_per_node = 6 })
    cluster:settle()
    assert.same({ 2, 2, 2, 2 }, loads(cluster))
    assert.same({ 1, 1, 2, 2 }, loads(cluster, "b"))
  end)

  it("fills a node that joined with what is new, and moves nothing there", function()
    local cluster = nodes(2)
    cluster:task("a", { replication = 4, max_per_node = 4 })
    cluster:settle()
    cluster:node("n3")
    cluster:settle()
    assert.same({ 2, 2, 0 }, loads(cluster))
    cluster:task("b", { replication = 2, max_per_node = 2 })
    cluster:settle()
    assert.same({ 3, 2, 1 }, loads(cluster))
  end)

  it("keeps to the order of names where all are equal", function()
    local cluster = nodes(3)
    cluster:task("a")
    cluster:settle()
    assert.same({ ["a.0"] = "n1" }, cluster:slots())
  end)
end)
