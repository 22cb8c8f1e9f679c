--- An agent follows its assignment, and nothing but a readable one under its own cluster's id.
-- The leader has gone on purpose and the worker is no candidate: what stands in
-- assignment/worker is written by the test alone.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

describe("an agent's assignment", function()
  local test, consul, worker, web, version

  local function assign(replicas)
    consul:put("assignment/worker", #replicas == 0 and '{"replicas":[]}' or {replicas = replicas})
  end

  local function replica(task, task_version)
    return {task = task, slot = 0, version = task_version, since = 1}
  end

  -- What must not happen takes no time to happen; a second is many times what a wake needs.
  local function expect_calm(why)
    loop.hold("web runs on: " .. why, 1000, function()
      local pids = test:sleepers("web")
      return #pids == 1 and pids[1] == web, #pids .. " run"
    end)
  end

  local function expect_problem(text)
    loop.wait_for("status tells " .. text, 10000, function()
      local out = worker:cli("status").stdout
      return out:find(text, 1, true), out
    end)
  end

  local function expect_no_problem()
    loop.wait_for("status tells no problem", 10000, function()
      local problems = worker:json("status").problems
      return #problems == 0, json.encode(problems)
    end)
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    local leader = test:join("leader", consul)
    worker = test:join("worker", consul, {consul_settings = {candidate = false}, config = {Labels = {role = "worker"}}})
    consul:put("task/web", {
      content = {command = test:sleeper("web"), name = "web"}, replication = 1, condition = {role = "worker"},
    })
    web = test:wait_for_sleepers("web", 1)[1]
    version = consul:document("assignment/worker").replicas[1].version
    leader:cli("leave")
    leader:stop()
  end)

  teardown(function() test:close() end)

  it("stops nothing when it is deleted", function()
    consul:delete("assignment/worker")
    expect_calm("the key is gone")
    assign{replica("web", version)}
    expect_calm("the key is back")
  end)

  it("stops nothing when it cannot be read, and says so", function()
    for _, text in ipairs{"", "no JSON {", "[]", '{"replicas":7}', '{"replicas":[{"task":"../x","slot":0,"version":"1"}]}', "\255\254"} do
      consul:put("assignment/worker", text)
      expect_calm(text)
    end
    expect_problem("assignment/worker")
    assign{replica("web", version)}
    expect_no_problem()
  end)

  it("stops nothing when a version is missing; the rest of it is followed", function()
    consul:put("version/extra/feed", {command = test:sleeper("extra")})
    assign{replica("web", "0000000000000000"), replica("extra", "feed"), replica("gone", "absent")}
    test:wait_for_sleepers("extra", 1)
    expect_calm("its new version is missing")
    expect_problem("0000000000000000")
  end)

  it("stops nothing when a version cannot be read", function()
    consul:put("version/web/broken", "{{{ no JSON")
    assign{replica("web", "broken"), replica("extra", "feed")}
    expect_problem("broken")
    expect_calm("its new version is no JSON")
    assign{replica("web", version), replica("extra", "feed")}
    expect_no_problem()
  end)

  it("fetches what it lacks as soon as it is there", function()
    assign{replica("web", version), replica("later", "soon")}
    test:wait_for_sleepers("extra", 0)
    consul:put("version/later/soon", {command = test:sleeper("later")})
    assign{replica("web", version), {task = "later", slot = 0, version = "soon", since = 2}}
    test:wait_for_sleepers("later", 1)
  end)

  it("is not followed under the id of another cluster, or of none", function()
    local meta = consul:get("meta")
    consul:put("meta", {schema = 1, cluster = "11111111-2222-4333-8444-555555555555"})
    assign{}
    expect_calm("another cluster's id")
    consul:delete("meta")
    assign{replica("later", "soon")}
    expect_calm("no meta")
    loop.wait_for("status tells a problem", 10000, function() return #worker:json("status").problems > 0 end)
    -- The assignment first: once meta is right, whatever stands there is followed.
    assign{replica("web", version), replica("later", "soon")}
    consul:put("meta", meta)
    expect_no_problem()
    expect_calm("all is well again")
  end)

  it("is remembered: with Consul gone a restarted node runs what it ran", function()
    local later = test:sleepers("later")
    worker:destroy()
    assert.equal(0, #test:sleepers("web"))
    consul:stop()
    worker:start()
    web = test:wait_for_sleepers("web", 1)[1]
    assert.not_same(later, test:wait_for_sleepers("later", 1))
    consul:start_again()
  end)

  it("that is empty and readable stops everything: the control of all the above", function()
    -- The dev Consul came back empty; it is made the worker's own again by hand.
    consul:put("meta", {schema = 1, cluster = json.decode(assert(io.open(worker.state_dir .. "/node.json")):read("a")).cluster})
    worker:wait_joined(30000)
    assign{}
    test:wait_for_sleepers("web", 0)
    test:wait_for_sleepers("later", 0)
    assert.truthy(worker.process:is_running())
  end)
end)
