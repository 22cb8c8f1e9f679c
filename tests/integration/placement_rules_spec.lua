--- Where tasks go, as an operator asks for it: labels, constraints, resources, ports, tasks together and apart, drains.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("placement rules", function()
  local test, consul, alpha, agents

  local SIZES = {
    alpha = {zone = "a", gpu = 2, ports = "41000-41009"},
    beta = {zone = "b", ports = "41100-41109"},
    gamma = {zone = "b", ports = "41200-41209"},
  }

  local function apply(name, document)
    document.content = document.content or {command = test:sleeper(name), name = name}
    consul:put("task/" .. name, document)
  end

  --- The nodes that hold replicas of a task which stay, sorted, with one entry a replica.
  local function nodes_of(task)
    local list = {}
    for _, text in ipairs(test:placements(consul, task)) do
      if not text:find("leaving", 1, true) then list[#list + 1] = text:match("^assignment/(%S+)") end
    end
    table.sort(list)
    return table.concat(list, " ")
  end

  local function expect_nodes(task, expected)
    loop.wait_for(("%s is on: %s"):format(task, expected), 20000, function()
      local found = nodes_of(task)
      return found == expected, found
    end)
  end

  local function row(task)
    for _, one in ipairs(alpha:json("tasks").tasks) do
      if one.name == task then return one end
    end
  end

  local function expect_reason(task, text)
    loop.wait_for(("%s is pending: %s"):format(task, text), 20000, function()
      local one = row(task)
      return one and one.reason and one.reason:find(text, 1, true), one and one.reason
    end)
  end

  local function cli(...)
    local result = alpha:cli(...)
    assert.equal(0, result.code, result.stderr)
    return result.stdout
  end

  local function remove(...)
    for _, task in ipairs{...} do
      consul:delete("task/" .. task)
      test:wait_for_sleepers(task, 0, 20000)
    end
  end

  setup(function()
    test, agents = harness.open(), {}
    consul = test:start_consul()
    for _, node in ipairs{"alpha", "beta", "gamma"} do
      local size = SIZES[node]
      agents[node] = test:join(node, consul, {config = {
        Labels = {zone = size.zone},
        Resources = {cpu = 1000, memory_mb = 256, gpu = size.gpu, ports = size.ports},
      }})
    end
    alpha = agents.alpha
  end)

  teardown(function() test:close() end)

  it("keep a task where its constraints are met, and follow labels that are set by hand", function()
    apply("web", {replication = 2, constraints = {{attribute = "label.zone", operator = "=", value = "a"}}})
    expect_nodes("web", "alpha")
    expect_reason("web", '2 of 3 nodes: label.zone is "b", it asks for = a')
    cli("node", "label", "gamma", "zone=a")
    expect_nodes("web", "alpha gamma")
    cli("node", "label", "gamma", "zone-")
    expect_nodes("web", "alpha")
    remove("web")
  end)

  it("say what is wrong with a constraint, and place no other task worse for it", function()
    apply("wrong", {replication = 1, constraints = {{attribute = "label.zone", operator = "=~", value = "a"}}})
    apply("right", {replication = 1, constraints = {{attribute = "resource.gpu", operator = ">=", value = 2}}})
    expect_nodes("right", "alpha")
    assert.equal("", nodes_of("wrong"))
    assert.truthy(cli("tasks"):find('"=~" is no operator', 1, true))
    remove("right", "wrong")
  end)

  it("give a node no more than it has, and say what is short", function()
    apply("big", {replication = 4, max_per_node = 4, resources = {memory_mb = 200}})
    expect_nodes("big", "alpha beta gamma")
    expect_reason("big", "3 of 3 nodes: memory_mb, short by 144")
    apply("gpu", {replication = 3, max_per_node = 3, resources = {gpu = 1}})
    expect_nodes("gpu", "alpha alpha")
    expect_reason("gpu", "2 of 3 nodes: have no gpu")
    local nodes = cli("nodes")
    assert.truthy(nodes:find("gpu 2/2", 1, true), nodes)
    assert.truthy(nodes:find("202.0 MiB/256.0 MiB", 1, true), nodes)
    remove("big", "gpu")
  end)

  it("give each replica its ports, in its environment and in task show", function()
    apply("api", {replication = 4, max_per_node = 2, ports = {http = 18080, admin = "dynamic"}})
    expect_nodes("api", "alpha beta gamma")
    expect_reason("api", "port 18080 (http) is taken")
    for _, pid in ipairs(test:wait_for_sleepers("api", 3, 20000)) do
      local environment = process.slurp("/proc/" .. pid .. "/environ")
      assert.truthy(environment:find("APPMGR_PORT_HTTP=18080\0", 1, true))
      local node, port = environment:match("APPMGR_NODE=(%w+)"), tonumber(environment:match("APPMGR_PORT_ADMIN=(%d+)"))
      local first, last = SIZES[node].ports:match("(%d+)-(%d+)")
      assert.is_true(port >= tonumber(first) and port <= tonumber(last))
      assert.truthy(cli("task", "show", "api"):find(("admin=%d http=18080"):format(port), 1, true))
    end
    -- Another fixed port needs new processes.
    local before = test:sleepers("api")
    apply("api", {replication = 3, ports = {http = 18081, admin = "dynamic"}})
    loop.wait_for("all replicas have the new port", 30000, function()
      local pids, changed = test:sleepers("api"), 0
      for _, pid in ipairs(pids) do
        local environment = process.slurp("/proc/" .. pid .. "/environ") or ""
        if environment:find("APPMGR_PORT_HTTP=18081\0", 1, true) then changed = changed + 1 end
      end
      return #pids == #before and changed == #pids, ("%d of %d"):format(changed, #pids)
    end)
    remove("api")
  end)

  it("keep tasks together and apart", function()
    apply("db", {replication = 1, constraints = {{attribute = "node.name", operator = "=", value = "beta"}}})
    expect_nodes("db", "beta")
    apply("near", {replication = 2, max_per_node = 1, with = {{task = "db", per = "label.zone"}}})
    expect_nodes("near", "beta gamma")
    apply("far", {replication = 2, apart_from = {"db"}})
    expect_nodes("far", "alpha gamma")
    apply("zones", {replication = 3, apart_from = {{task = "zones", per = "label.zone"}}})
    loop.wait_for("zones is in two zones", 20000, function()
      local found = nodes_of("zones")
      return found == "alpha beta" or found == "alpha gamma", found
    end)
    remove("zones", "far", "near", "db")
  end)

  it("spread over labels, and prefer what they are to prefer", function()
    apply("even", {replication = 4, max_per_node = 4, spread = {label = "zone"}})
    loop.wait_for("even is half in each zone", 20000, function()
      local found = nodes_of("even")
      return found == "alpha alpha beta gamma", found
    end)
    apply("liking", {replication = 1, affinities = {
      {attribute = "node.name", operator = "=", value = "gamma", weight = 100},
    }})
    expect_nodes("liking", "gamma")
    remove("even", "liking")
  end)

  it("move what is on a node that is drained, until it is not", function()
    apply("moves", {replication = 2, constraints = {{attribute = "label.zone", operator = "=", value = "b"}}})
    expect_nodes("moves", "beta gamma")
    cli("node", "label", "alpha", "zone=b")
    cli("node", "drain", "gamma")
    expect_nodes("moves", "alpha beta")
    assert.truthy(cli("nodes"):find("draining", 1, true))
    loop.wait_for("what was on gamma is gone", 20000, function()
      local list = test:placements(consul, "moves")
      return #list == 2, table.concat(list, "; ")
    end)
    cli("node", "undrain", "gamma")
    cli("node", "ineligible", "gamma")
    apply("moves", {replication = 3, constraints = {{attribute = "label.zone", operator = "=", value = "b"}}})
    expect_reason("moves", "not eligible")
    cli("node", "eligible", "gamma")
    expect_nodes("moves", "alpha beta gamma")
    assert.equal(1, alpha:cli("node", "drain", "gama").code)
    cli("node", "label", "alpha", "zone-")
    remove("moves")
  end)

  it("leave a replica on a drained node until there is room elsewhere, when that is asked for", function()
    apply("fill", {replication = 1, resources = {memory_mb = 200}, constraints = {
      {attribute = "node.name", operator = "=", value = "alpha"},
    }})
    expect_nodes("fill", "alpha")
    apply("big", {replication = 2, resources = {memory_mb = 200}})
    expect_nodes("big", "beta gamma")
    cli("node", "drain", "gamma", "--wait-for-room", "--deadline", "1h")
    assert.truthy(cli("nodes"):find("draining, waiting for room, until ", 1, true))
    test:expect_decision(consul)
    assert.equal("beta gamma", nodes_of("big"))
    remove("fill")
    expect_nodes("big", "alpha beta")
    cli("node", "undrain", "gamma")
    remove("big")
  end)
end)
