local Cluster = require("spec.support.cluster")
local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")
local record = require("appmgr.planner.record")

local function load_policy(text)
  return Policy.load(core, { name = "p", hash = "h", text = text })
end

local function refusal(text)
  local policy, reason = load_policy(text)
  assert.is_nil(policy, text)
  assert.truthy(reason:find('policy "p"', 1, true))
  return reason
end

local GOOD = 'return { api = 1, name = "p", score = function() return 0 end }'

local function policy_with(score, extra)
  return ('return { api = 1, name = "p", %s score = function(task, node, cluster) %s end }'):format(extra or "", score)
end

local function cluster_with(source)
  local cluster = Cluster.new({ source = source })
  for _, name in ipairs({ "alpha", "beta", "gamma" }) do cluster:node(name, { labels = { zone = "a" } }) end
  cluster:task("bad")
  cluster:task("good")
  return cluster
end

describe("loading a policy", function()
  it("takes a good one", function()
    local policy = load_policy(GOOD)
    assert.same({ "p", "h", false }, { policy.name, policy.hash, policy.is_global })
  end)

  it("says what is wrong with a bad one", function()
    assert.truthy(refusal("return {"):find("p:1", 1, true))
    assert.truthy(refusal("\27Lua"))
    assert.truthy(refusal("return 7"):find("plain table", 1, true))
    assert.truthy(refusal("return {}"):find("api: is missing; name: is missing; score: is missing", 1, true))
    assert.truthy(refusal('return { api = 2, name = "p", score = 1 }'):find("api: must be 1; score: must be a f", 1, true))
    assert.truthy(refusal('return { api = 1, name = "p", scroe = 1 }'):find('did you mean "score"?', 1, true))
    assert.truthy(refusal(policy_with("", 'reads = { "node.replica" },')):find('did you mean "node.replicas"?', 1, true))
    assert.truthy(refusal('error("boom")'):find("boom", 1, true))
    assert.truthy(refusal("while true do end"):find("timeout", 1, true))
  end)

  it("gives it no way out", function()
    for _, name in ipairs({
      "os", "io", "debug", "package", "require", "load", "loadstring", "loadfile", "dofile", "setmetatable",
      "getmetatable", "rawset", "rawget", "rawequal", "collectgarbage", "coroutine", "print", "_G", "pcall", "xpcall",
      "next", "string.dump", "math.random", "math.randomseed",
    }) do
      local environment = Policy.environment(core.sandbox)
      local library, field = name:match("^(%w+)%.(%w+)$")
      local value = environment[name]
      if library then value = environment[library][field] end
      assert.is_nil(value, name)
    end
  end)

  it("knows exactly the names that the contract lists", function()
    local names = {}
    for name, value in pairs(Policy.environment(core.sandbox)) do
      if type(value) == "table" then
        for field in pairs(value) do names[#names + 1] = name .. "." .. field end
      else
        names[#names + 1] = name
      end
    end
    table.sort(names)
    local file = assert(io.open("policies/README.md"))
    local readme = file:read("a")
    file:close()
    for _, name in ipairs(names) do
      local library, field = name:match("^(%w+)%.(%w+)$")
      local listed = readme:find("`" .. name .. "`", 1, true)
        or (library and readme:match("`" .. library .. "%.`[^\n]*\n?[^\n]*%f[%w_]" .. field .. "%f[^%w_]"))
      assert.truthy(listed, name .. " is not in policies/README.md")
    end
  end)

  it("never replaces a good one by a bad one", function()
    local cluster = Cluster.new()
    local answer = cluster.desk:handle({ type = "configure", policy = { name = "bad", hash = "1" } }, "return {")
    assert.is_false(answer.ok)
    assert.truthy(answer.error:find('policy "bad"', 1, true))
    cluster:node("alpha")
    cluster:task("web")
    cluster:settle()
    assert.same({ ["web.0"] = "alpha" }, cluster:slots())
    assert.equal("test", cluster.last.policy.name)
  end)
end)

describe("records", function()
  local function score(body, extra)
    local cluster = cluster_with(policy_with(body, extra))
    cluster:settle()
    return cluster
  end

  it("raise at a field they do not have, and say which was meant", function()
    local cluster = score("return node.lables.zone")
    assert.equal("error", cluster.last.outcome)
    assert.truthy(cluster.last.outcome_message:find('a node has no field "lables"; did you mean "labels"?', 1, true))
    assert.truthy(cluster.last.outcome_message:find("p:1", 1, true) or cluster.last.outcome_message:find("test:1", 1, true))
  end)

  it("raise at a field that changes and was not declared", function()
    assert.truthy(score("return node.replicas").last.outcome_message:find('reads = { "node.replicas" }', 1, true))
  end)

  it("cannot be written", function()
    for _, body in ipairs({ 'node.name = "x"', "node.labels.zone = 1", "task.condition.zone = 1", "cluster.nodes = 0" }) do
      assert.truthy(score(body).last.outcome_message:find("read-only", 1, true), body)
    end
  end)

  it("give what the contract says", function()
    local cluster = score([[
      assert(task.name and task.replication == 1 and task.priority == 0 and task.max_per_node == 1)
      assert(task.condition.zone == nil and node.labels.zone == "a" and node.labels.other == nil)
      assert(node.capacity.cpu == 4000 and node.position >= 0 and cluster.nodes == 3 and cluster.replicas >= 0)
      assert(node.replicas >= 0 and node.task_replicas == 0)
      local keys = {}
      for label in pairs(node.labels) do keys[#keys + 1] = label end
      assert(#keys == 1)
      return 0]], 'reads = { "node.replicas", "node.task_replicas", "cluster.replicas" },')
    assert.equal("ok", cluster.last.outcome, cluster.last.outcome_message)
    assert.equal("alpha", cluster:slots()["good.0"])
  end)

  it("iterate in the order of keys", function()
    local order = {}
    for key in record.sorted_pairs({ b = 1, a = 2, [2] = 3, [10] = 4 }) do order[#order + 1] = key end
    assert.same({ 10, 2, "a", "b" }, { order[2], order[1], order[3], order[4] })
  end)
end)

describe("a policy that fails", function()
  local function turn(source)
    local cluster = cluster_with(source)
    cluster:settle()
    return cluster
  end

  it("for one task sets only that one aside", function()
    for kind, body in pairs({
      error = 'error("boom")', timeout = "while true do end", bad_result = "return 0/0", bad_type = "return {}",
      nothing = "", writes = 'node.name = "x"', recursion = "local function f() return 1 + f() end return f()",
    }) do
      local cluster = turn(policy_with(('if task.name == "bad" then %s end return 0'):format(
        body == "" and "do return end" or body:find("^return") and "do " .. body .. " end" or body)))
      assert.equal("ok", cluster.last.outcome, kind)
      assert.same({ ["good.0"] = "alpha" }, cluster:slots(), kind)
      assert.truthy(cluster:problem("task/bad"):find("the policy failed for it", 1, true), kind)
    end
  end)

  it("altogether leaves what is placed as it was", function()
    local cluster = turn(GOOD)
    local before = cluster:slots()
    cluster:elect(policy_with("error('boom')"))
    cluster:task("new")
    cluster:task("newer")
    cluster:settle()
    assert.same(before, cluster:slots())
    assert.equal("error", cluster.last.outcome)
    assert.truthy(cluster.last.outcome_message:find("boom", 1, true))
    cluster:elect("syntax error")
    cluster:settle()
    assert.same(before, cluster:slots())
    assert.truthy(cluster:problem("task/new"):find("syntax error", 1, true))
  end)

  it("does not lose its bookkeeping half way", function()
    local cluster = Cluster.new({ source = policy_with(
      'if task.name == "a" and node.replicas == 1 then error("late") end return -node.replicas',
      'reads = { "node.replicas" },') })
    cluster:node("alpha")
    cluster:task("a", { replication = 2, max_per_node = 2 })
    cluster:task("b", { replication = 2, max_per_node = 2 })
    for _ = 1, 2 do cluster:turn() end
    assert.same({ ["b.0"] = "alpha", ["b.1"] = "alpha" }, cluster:slots())
  end)

  it("is not asked for ever when it only loops", function()
    local cluster = Cluster.new({ source = policy_with("while true do end"), limits = { max_wasted_instructions = 2000000 } })
    cluster:node("alpha")
    for number = 1, 5 do cluster:task("t" .. number) end
    cluster:settle()
    assert.equal("timeout", cluster.last.outcome)
    assert.truthy(cluster:problem("task/t5"):find("not asked", 1, true))
  end)
end)

describe("filter", function()
  local function with_filter(body)
    local extra = ("filter = function(task, node) %s end,"):format(body)
    local cluster = cluster_with(policy_with("return 0", extra))
    cluster:settle()
    return cluster
  end

  it("keeps nodes out, with a code", function()
    local cluster = with_filter('if node.name == "alpha" then return false, "unlucky", 13 end return true')
    assert.equal("beta", cluster:slots()["good.0"])
    cluster = with_filter('return false, "unlucky", node.name')
    assert.same({}, cluster:slots())
    assert.truthy(cluster:problem("task/good"):find("refused by the policy: unlucky (alpha)", 1, true))
    cluster = with_filter("return false")
    assert.truthy(cluster:problem("task/good"):find("3 of 3 nodes: refused by the policy: filter", 1, true))
  end)

  it("has to answer yes or no", function()
    assert.truthy(with_filter("").last.outcome_message:find("true or false, not a nil", 1, true))
    assert.truthy(with_filter("return false, {}").last.outcome_message:find("must be a string", 1, true))
  end)
end)
