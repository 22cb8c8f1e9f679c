--- Policies that change while everything runs: files, SIGHUP, and those kept in Consul.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local ONLY = [[
return {
  api = 1, name = "only",
  filter = function(_, node) return node.name == "%s", "elsewhere" end,
  score = function() return 0 end,
}
]]
local FAILS = [[
return { api = 1, name = "fails", score = function(task, node) return task.name == "web" and node.nothing or 0 end }
]]

describe("a policy", function()
  local test, consul, agents, web, path

  local function leader()
    return agents[consul:leader()]
  end

  local function leading()
    local agent = leader()
    return agent and agent:json("status").leading or {}
  end

  local function problems_hold(text)
    loop.wait_for("status says " .. text, 15000, function()
      for _, problem in ipairs(leader():json("status").problems) do
        if problem.text:find(text, 1, true) then return true end
      end
    end)
  end

  local function wait_in_use(name, from)
    loop.wait_for(name .. " is in use", 15000, function()
      local policy = leading().policy
      return policy and policy.name == name and (not from or policy.from == from), policy and policy.name
    end)
  end

  --- Where a new replica goes at the moment.
  local function place()
    consul:put("task/probe", {content = {command = test:sleeper("probe")}, replication = 1})
    local placed = loop.wait_for("the probe is placed", 15000, function() return test:placements(consul, "probe")[1] end)
    consul:delete("task/probe")
    loop.wait_for("the probe is gone", 15000, function() return #test:placements(consul, "probe") == 0 end)
    return placed:match("assignment/(%w+)")
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    path = test.dir .. "/mine.lua"
    process.spit(path, ONLY:format("beta"))
    agents = {}
    for _, name in ipairs{"alpha", "beta"} do
      agents[name] = test:join(name, consul, {config = {Policy = {name = path}}})
    end
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    web = test:wait_for_sleepers("web", 1)
  end)

  teardown(function()
    assert.same(web, test:sleepers("web"))
    test:close()
  end)

  it("of the configuration is watched: a changed file takes over, and nothing moves", function()
    assert.equal("beta", place())
    leader():wait_for_more_log('policy "mine" takes over', function() process.spit(path, ONLY:format("alpha")) end)
    assert.equal("alpha", place())
  end)

  it("that is bad does not take over, and says why until it is repaired", function()
    process.spit(path, FAILS)
    problems_hold('the policy "mine" was tried and cannot be used: task "web": error: mine:1:')
    assert.equal("alpha", place())
    process.spit(path, ONLY:format("alpha"))
    loop.wait_for("there is no problem", 15000, function() return #leader():json("status").problems == 0 end)
  end)

  it("is kept in Consul by a command, which refuses one that cannot be loaded or fails on the cluster", function()
    local only_beta, bad, broken = test.dir .. "/only_beta.lua", test.dir .. "/fails.lua", test.dir .. "/broken.lua"
    process.spit(only_beta, ONLY:format("beta"))
    process.spit(bad, FAILS)
    process.spit(broken, "return {{{")
    assert.equal(0, agents.alpha:cli("policy", "put", only_beta, bad).code)
    process.spit(test.dir .. "/clock.lua", "return { api = 1, name = 'clock', score = function()\n return os.time() end }")
    local clock = agents.alpha:cli("policy", "put", test.dir .. "/clock.lua")
    assert.equal(1, clock.code)
    assert.truthy(clock.stderr:find('clock.lua:2: there is no "os" for a policy', 1, true), clock.stderr)
    local refused = agents.alpha:cli("policy", "put", broken)
    assert.equal(1, refused.code)
    assert.truthy(refused.stderr:find("broken.lua:1:", 1, true), refused.stderr)
    refused = agents.beta:cli("policy", "use", "fails")
    assert.equal(1, refused.code)
    assert.truthy(refused.stderr:find('task "web": error: fails:1:', 1, true), refused.stderr)
    assert.equal(2, #agents.alpha:json("policy", "ls").policies)
    assert.equal("configuration", leading().policy.from)
  end)

  it("kept in Consul decides whoever leads", function()
    assert.equal("only_beta", agents.beta:json("policy", "use", "only_beta").name)
    wait_in_use("only_beta", "Consul")
    assert.equal("beta", place())
    local former = consul:leader()
    agents[former]:stop()
    loop.wait_for("another one leads", 15000, function() return consul:leader() and consul:leader() ~= former end)
    wait_in_use("only_beta", "Consul")
    agents[former]:start():wait_joined()
    assert.equal("beta", place())
  end)

  it("that came with appmgr can be used by its name, and rollback goes back step by step", function()
    assert.equal("spread", agents.alpha:json("policy", "use", "spread").name)
    wait_in_use("spread")
    assert.equal("only_beta", agents.alpha:json("policy", "rollback").name)
    wait_in_use("only_beta")
    assert.is_nil(agents.alpha:json("policy", "rollback").name)
    wait_in_use("mine", "configuration")
    assert.equal(1, agents.alpha:cli("policy", "rollback").code)
    assert.truthy(agents.alpha:cli("policy", "use", "--configured").stdout:find("in use already", 1, true))
    assert.equal(1, agents.alpha:cli("policy", "rollback").code)
    assert.equal(0, agents.alpha:cli("policy", "use", "only_beta").code)
    assert.equal(0, agents.alpha:cli("policy", "use", "--configured").code)
    assert.equal(0, agents.alpha:cli("policy", "rm", "fails", "only_beta").code)
    local back = agents.alpha:cli("policy", "rollback")
    assert.equal(0, back.code, back.stderr)
    assert.truthy(back.stderr:find("only_beta@%x+ is passed over: Consul does not hold it any more"), back.stderr)
    assert.equal("spread", agents.alpha:json("policy", "ls").policies[1].name)
  end)

  it("is chosen anew where what Consul says of it makes no sense", function()
    consul:put("policy/use", "junk")
    local refused = agents.alpha:cli("policy", "ls")
    assert.equal(1, refused.code)
    assert.truthy(refused.stderr:find('"appmgr policy use NAME", or --configured, writes it anew', 1, true), refused.stderr)
    problems_hold('policy/use cannot be used: ')
    local chosen = agents.alpha:cli("policy", "use", "--configured")
    assert.equal(0, chosen.code, chosen.stderr)
    assert.truthy(chosen.stderr:find("what was in use before is not known", 1, true), chosen.stderr)
    assert.equal(0, agents.alpha:cli("policy", "ls").code)
    loop.wait_for("there is no problem", 15000, function() return #leader():json("status").problems == 0 end)
  end)

  it("may have a shadow, which is compared and has no effect", function()
    process.spit(test.dir .. "/other.lua", ONLY:format("beta"))
    for _, agent in pairs(agents) do
      agent:configure{Policy = {name = path, shadow = test.dir .. "/other.lua"}}
      agent.process:kill("sighup")
    end
    local shadow = loop.wait_for("the shadow is compared", 20000, function()
      local seen = leading().shadow
      return seen and seen.at and seen
    end)
    assert.same({"other", 1}, {shadow.policy, shadow.replicas})
    assert.is_nil(shadow.failure)
    assert.equal("alpha", place())
  end)
end)
