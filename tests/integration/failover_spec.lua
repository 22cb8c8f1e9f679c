--- What costs an expired session: the leader is killed, its replicas move, a node goes and comes back.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local EXPIRY_DEADLINE_MS = 45000

describe("a leader that is killed with its machine", function()
  local test, consul, agents, old

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    agents = {}
    for _, node in ipairs{"alpha", "beta", "gamma"} do
      agents[node] = test:join(node, consul, {config = {
        Applications = {{name = "own", command = test:sleeper("own" .. node)}},
      }})
    end
    -- Each start of it leaves a line.
    consul:put("task/web", {replication = 2, content = {
      command = {"/bin/sh", "-c", ("echo $APPMGR_NODE >> %s/starts; exec %s"):format(test.dir, test:sleeper("web"))},
    }})
    consul:put("task/each", {content = {command = test:sleeper("each")}, replication = "all"})
    test:wait_for_sleepers("web", 2)
    test:wait_for_sleepers("each", 3)
    old = agents[consul:leader()]
    -- The whole machine goes: agent, keeper and applications at once.
    old:destroy()
    -- A keeper tells by these whether it comes after a boot, which a test cannot make.
    assert(os.remove(old.state_dir .. "/keeper.records"))
    loop.wait_for("another leads", EXPIRY_DEADLINE_MS, function()
      local name = consul:leader()
      return name and name ~= old.node
    end)
  end)

  teardown(function() test:close() end)

  it("is replaced, and what it ran runs elsewhere", function()
    test:wait_for_sleepers("web", 2, 15000)
    test:wait_for_sleepers("each", 2, 15000)
    for node in pairs(agents) do
      loop.wait_for("the topology of " .. node .. " says so", 15000, function()
        local names = table.concat(consul:document("topology/" .. node) or {}, " ")
        return names == (node == old.node and "" or "each web"), names
      end)
    end
  end)

  it("loses its keys: live, status, assignment, topology", function()
    loop.wait_for("no key is left", 10000, function()
      for _, key in ipairs{"live/", "assignment/", "topology/", "status/"} do
        local left = consul:keys(key .. old.node)
        if #left > 0 then
          return false, left[1]
        end
      end
      return true
    end)
  end)

  it("leaves the others' keys in place", function()
    for node in pairs(agents) do
      if node ~= old.node then
        for _, key in ipairs{"live/", "assignment/", "topology/"} do
          assert.is_truthy(consul:entry(key .. node), key .. node)
        end
        assert.is_truthy(consul:entry("status/" .. node .. "/resource"))
      end
    end
    assert.equal(0, #test:sleepers("own" .. old.node))
  end)

  it("takes part again when it is back, and nothing that runs elsewhere moves for it", function()
    local web, starts = test:sleepers("web"), process.slurp(test.dir .. "/starts")
    old:start():wait_joined()
    test:wait_for_sleepers("each", 3, 15000)
    test:wait_for_sleepers("own" .. old.node, 1)
    assert.same(web, test:sleepers("web"))
    assert.equal(starts, process.slurp(test.dir .. "/starts"))
    loop.wait_for("every live host has its keys", 10000, function()
      return consul:entry("assignment/" .. old.node) and consul:entry("topology/" .. old.node)
    end)
  end)
end)
