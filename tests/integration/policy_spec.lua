--- Policies in a running cluster: chosen by name or path, and what a bad one cannot do.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local ONLY_BETA = [[
return {
  api = 1, name = "only_beta", reads = {},
  filter = function(task, node)
    if node.name == "beta" then return true end
    return false, "not_beta"
  end,
  score = function() return 0 end,
}
]]

-- Fails for two tasks, each in its own way, and is right about all others.
local PARTLY_BAD = [[
return {
  api = 1, name = "partly_bad", reads = {},
  filter = function(task, node)
    if task.name == "cursed" then error("no way for " .. task.name) end
    if task.name == "endless" then while true do end end
    return true
  end,
  score = function() return 0 end,
}
]]

local function policy(filter, score)
  return ([[return { api = 1, name = "bad", reads = {}, filter = function(task, node) %s end, score = function(task, node) %s end }]])
    :format(filter or "return true", score or "return 0")
end

local BAD = {
  {name = "a syntax error", text = "return {{{"},
  {name = "no table", text = "return 7"},
  {name = "another API", text = (policy():gsub("api = 1", "api = 99"))},
  {name = "an endless loop", text = policy("while true do end")},
  {name = "an endless loop inside pcall", text = policy("while true do pcall(function() while true do end end) end")},
  {name = "an endless loop inside a C function", text = policy("return (('a'):rep(30000)):find(('a*'):rep(30) .. 'b') == nil")},
  {name = "a memory bomb", text = policy("local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end")},
  {name = "an error", text = policy("error('on purpose')")},
  {name = "a score that is NaN", text = policy(nil, "return 0/0")},
  {name = "a score that is no number", text = policy(nil, "return {}")},
  {name = "writing to what it was given", text = policy("node.name = 'x' return true")},
  {name = "reaching for files", text = policy("return io.open('/etc/passwd') ~= nil")},
}

describe("the placement policy", function()
  local test, consul, alpha, beta, web

  local function use(text_or_name)
    local name = text_or_name
    if text_or_name:find("%s") then
      name = test.dir .. "/policy.lua"
      process.spit(name, text_or_name)
    end
    for _, agent in ipairs{alpha, beta} do
      agent:configure{Policy = {name = name}}
      agent.process:kill("sighup")
      loop.wait_for(agent.node .. " has read its configuration again", 10000, function()
        local shown = agent:cli("repl", "-e", "config.Policy.name").stdout
        return shown:find(name, 1, true), shown
      end)
    end
  end

  -- What is good takes over once it was tried.
  local function use_good(text_or_name, name)
    use(text_or_name)
    loop.wait_for(name .. " is in use", 15000, function()
      local leading = (consul:leader() == "alpha" and alpha or beta):json("status").leading
      return leading and leading.policy and leading.policy.name == name and not leading.trying, json.encode(leading)
    end)
  end

  local function topology(node)
    return table.concat(consul:document("topology/" .. node) or {}, " ")
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    alpha = test:join("alpha", consul)
    beta = test:join("beta", consul)
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 2})
    web = test:wait_for_sleepers("web", 2)
  end)

  teardown(function() test:close() end)

  it("is spread by default", function()
    assert.equal("web", topology("alpha"))
    assert.equal("web", topology("beta"))
  end)

  it("may be given by path, and decides from then on; what may stay stays", function()
    use_good(ONLY_BETA, "policy")
    consul:put("task/one", {content = {command = test:sleeper("one")}, replication = 1})
    test:wait_for_sleepers("one", 1)
    assert.truthy(topology("beta"):find("one", 1, true))
  end)

  it("may be the seed's simple one", function()
    use_good("round_robin", "round_robin")
    consul:put("task/two", {content = {command = test:sleeper("two")}, replication = 2})
    test:wait_for_sleepers("two", 2)
    consul:delete("task/one")
    consul:delete("task/two")
    test:wait_for_sleepers("one", 0)
    test:wait_for_sleepers("two", 0)
    use("spread")
  end)

  for number, bad in ipairs(BAD) do
    it("with " .. bad.name .. " harms nobody and is told", function()
      use(bad.text)
      local task = "bad" .. number
      consul:put("task/" .. task, {content = {command = test:sleeper(task)}, replication = 1})
      local leader = consul:leader() == "alpha" and alpha or beta
      loop.wait_for("somebody is told about the policy", 20000, function()
        local seen = json.encode{alpha:json("status").problems, beta:json("status").problems, leader:json("tasks")}:lower()
        return seen:find("policy", 1, true) or seen:find("bad%d*[^%w]*.-filter") or seen:find("score", 1, true), seen:sub(1, 2000)
      end)
      assert.equal(0, alpha:cli("status", {timeout_ms = 3000}).code)
      assert.equal("web", topology("alpha"):match("web"))
      assert.equal("web", topology("beta"):match("web"))
      assert.same(web, test:sleepers("web"))
      use("spread")
      test:wait_for_sleepers(task, 1, 20000)
      consul:delete("task/" .. task)
      test:wait_for_sleepers(task, 0, 20000)
    end)
  end

  it("has held no agent's loop, whatever it did", function()
    for _, agent in ipairs{alpha, beta} do
      local held = agent:json("status").loop
      -- One that hangs is given 5 s before it is ended; nothing else in an agent takes long, but the machine may be busy.
      assert.is_true(held.longest_ms < 4500, json.encode(held))
    end
  end)

  it("that fails for one task sets that one aside, with its reason; the others are placed", function()
    use_good(PARTLY_BAD, "policy")
    -- Names before and after the two in every order, so that it is seen that a decision goes on.
    for _, task in ipairs{"cursed", "endless", "after", "zero"} do
      consul:put("task/" .. task, {content = {command = test:sleeper(task)}, replication = 1})
    end
    test:wait_for_sleepers("after", 1, 20000)
    test:wait_for_sleepers("zero", 1, 20000)
    local function row(name)
      for _, task in ipairs(alpha:json("tasks").tasks) do
        if task.name == name then
          return task
        end
      end
    end
    for name, reason in pairs{cursed = "no way for cursed", endless = "timeout"} do
      loop.wait_for(name .. " is pending for " .. reason, 15000, function()
        local task = row(name)
        local told = json.encode(task and task.reasons)
        return task and task.pending == 1 and told:find(reason, 1, true), told
      end)
      local text = alpha:cli("tasks").stdout
      assert.truthy(text:match(('\ntask "%s": 1 pending: [^\n]*%s'):format(name, reason)), text)
    end
    assert.same({}, row("after").reasons)
    assert.same(web, test:sleepers("web"))
    assert.equal(0, #test:sleepers("cursed") + #test:sleepers("endless"))
    use("spread")
    for _, task in ipairs{"cursed", "endless", "after", "zero"} do
      test:wait_for_sleepers(task, 1, 20000)
      consul:delete("task/" .. task)
      test:wait_for_sleepers(task, 0, 20000)
    end
  end)

  it("runs in a planner that only the leader has, and that may be killed", function()
    local function planners()
      local found = {}
      for _, pid in ipairs(process.find("appmgr-planner")) do
        local parent = process.look(pid)
        if parent and (parent.parent == alpha.process.pid or parent.parent == beta.process.pid) then
          found[#found + 1] = {pid = pid, parent = parent.parent}
        end
      end
      return found
    end
    local leader = consul:leader() == "alpha" and alpha or beta
    local found = loop.wait_for("one planner runs", 20000, function() -- and none that tries another policy
      local list = planners()
      return #list == 1 and list, #list
    end)
    assert.equal(leader.process.pid, found[1].parent)
    require("luv").kill(found[1].pid, "sigkill")
    consul:put("task/three", {content = {command = test:sleeper("three")}, replication = 2})
    test:wait_for_sleepers("three", 2, 20000)
    assert.same(web, test:sleepers("web"))
    assert.not_equal(found[1].pid, planners()[1].pid)
  end)
end)
