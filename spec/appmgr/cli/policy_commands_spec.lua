local fake_context = require("spec.support.fake_context")
local json = require("appmgr.json")

local core = {
  file = require("core.file"), loop = require("core.loop"), planner = require("core.planner"), timer = require("core.timer"),
  runtime = { version = "9.9.9", share_dir = "." },
}

local function run(...)
  local context = fake_context.new({}, { core = core })
  context.core.runtime = core.runtime
  local code = fake_context.run(context, ...)
  return { code = code, out = context.out(), err = context.err() }
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

local function written(text, suffix)
  local path = os.tmpname()
  os.remove(path)
  path = path .. (suffix or ".lua")
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  finally(function() os.remove(path) end)
  return path
end

describe("policy check", function()
  it("says that a policy is in order", function()
    local result = run("policy", "check", "spread")
    assert.equal(0, result.code)
    has(result.out, 'spread is in order: policy "spread", API 1')
  end)

  it("tells each wrong name with its line, and fails", function()
    local path = written("return { api = 1, name = 'x',\n score = function() return os.clock() + mth.huge end }")
    local result = run("policy", "check", path)
    assert.equal(1, result.code)
    has(result.err, path .. ":2: there is no \"mth\" for a policy; did you mean \"math\"?")
    has(result.err, path .. ":2: there is no \"os\" for a policy; a policy has no clock")
  end)

  it("tells a syntax error once, with the file", function()
    local path = written("return { api = }")
    local result = run("policy", "check", path)
    assert.equal(1, result.code)
    assert.matches("^" .. path:gsub("%p", "%%%0") .. ":1: [^\n]+\n$", result.err)
  end)

  it("tells what the table lacks", function()
    local result = run("policy", "check", written("return { api = 1, name = 'x' }"))
    assert.equal(1, result.code)
    has(result.err, "score: is missing")
  end)

  it("checks options, and prints JSON for programs", function()
    local result = run("policy", "check", "pinned", "--options", '{"host":"a"}', "--json")
    assert.equal(1, result.code)
    local answer = json.decode(result.out)
    assert.is_false(answer.ok)
    has(answer.findings[1], 'did you mean "hosts"')
    has(run("policy", "check", "pinned", "--options", "[1]").err, "--options is no JSON object: it is [1]")
  end)

  it("names the nearest when there is no such policy", function()
    has(run("policy", "check", "spraed").err, 'did you mean "spread"')
  end)
end)

describe("policy test", function()
  it("is passed by a policy that keeps the contract", function()
    local result = run("policy", "test", "spread", "--clusters", "20")
    assert.equal(0, result.code)
    has(result.out, "spread keeps the contract on 20 clusters")
  end)

  it("keeps the smallest cluster on which a policy fails, which fails again", function()
    local policy = written("return { api = 1, name = 'x', score = function(task) return task.priority > 0 and {} or 1 end }")
    local kept = written("", ".json")
    local result = run("policy", "test", policy, "--save", kept)
    assert.equal(1, result.code)
    has(result.err, "does not keep the contract, cluster")
    local case = json.decode(assert(core.file.read(kept)))
    local name, task = next(case.tasks)
    assert.is_nil(next(case.tasks, name))
    assert.truthy(task.priority > 0)
    result = run("policy", "test", policy, "--case", kept, "--json", "--save", kept)
    assert.equal(1, result.code)
    assert.equal("total", json.decode(result.out).failure.property)
    assert.equal(0, run("policy", "test", "spread", "--case", kept).code)
  end)

  it("is not passed on no cluster at all", function()
    local result = run("policy", "test", "spread", "--clusters", "0")
    assert.equal(2, result.code)
    has(result.err, "--clusters takes a number from 1")
  end)

  it("says when a file is no case", function()
    has(run("policy", "test", "spread", "--case", written("{}", ".json")).err, "nodes: is missing; this is no case")
  end)
end)

describe("policy simulate", function()
  local SMALL = { "policy", "simulate", "--nodes", "20", "--tasks", "10", "--replicas", "5" }

  local function simulate(...)
    local words = table.move(SMALL, 1, #SMALL, 1, {})
    return run(table.unpack(table.move({ ... }, 1, select("#", ...), #words + 1, words)))
  end

  it("places everything, and prints what a program needs", function()
    local answer = json.decode(simulate("--json").out)
    assert.equal(50, answer.placed + answer.pending)
    assert.equal(0, answer.moves)
    assert.truthy(answer.cpu_seconds >= 0 and answer.placements_per_second > 0 and answer.peak_memory_mb > 1)
    assert.equal("start", answer.steps[1].event)
  end)

  it("lets events happen; who is lost is placed again and nothing else moves", function()
    local events = written('[{"lose": 2}, {"join": 1}, {"drain": "n00010"}, '
      .. '{"scale": {"name": "t00001", "replication": 9}}, {"remove": "t00002"}]', ".json")
    local result = simulate("--events", events, "--json")
    assert.equal(0, result.code, result.err)
    local steps = json.decode(result.out).steps
    assert.equal(6, #steps)
    assert.equal(steps[2].lost, steps[2].started)
    assert.equal(0, steps[2].moves)
    assert.equal(0, steps[3].moves)
    assert.equal(4, steps[5].started)
    assert.same({ 0, 5 }, { steps[6].moves, steps[6].stopped })
  end)

  it("has no cluster of its own beside a snapshot", function()
    local result = run("policy", "simulate", "--snapshot", "x", "--tasks", "5")
    assert.equal(2, result.code)
    has(result.err, "--tasks and --snapshot exclude each other")
  end)

  it("is the same for the same seed, and says how much another policy would differ", function()
    local function placed(...) return json.decode(simulate("--json", ...).out) end
    local answer = placed("--compare", "round_robin")
    assert.truthy(answer.compared.elsewhere > 0)
    assert.equal(0, placed("--compare", "spread").compared.elsewhere)
  end)

  it("prints tables for people", function()
    local out = simulate().out
    has(out, "policy spread")
    has(out, "PLACED")
    has(out, "placements a second")
  end)

  it("moves for balance where that is asked for, and measures it by itself", function()
    local events = written('[{"join": 4}]', ".json")
    local answer = json.decode(simulate("--events", events, "--rebalance", '{"max_moves": 3}', "--json").out)
    local joined, moved = answer.steps[3], answer.steps[4]
    assert.equal(4, #answer.steps)
    assert.same({ "start", "rebalance", "join 4", "rebalance" },
      { answer.steps[1].event, answer.steps[2].event, joined.event, moved.event })
    assert.same({ 0, moved.moves }, { joined.moves, moved.started })
    assert.truthy(moved.moves > 2 and moved.imbalance < joined.imbalance and moved.balance_seconds >= 60)
    assert.equal("nothing would be better off elsewhere", moved.balance)
    local out = simulate("--events", events, "--rebalance", "{}").out
    has(out, "rebalance, in ")
    has(out, "rebalance: nothing would be better off elsewhere")
    has(simulate("--rebalance", '{"moves": 1}').err, '--rebalance: moves: unknown field')
    has(simulate("--rebalance", "3").err, "--rebalance: no JSON object")
  end)

  it("names the event that makes no sense", function()
    has(simulate("--events", written('[{"lose": 1}, {"loose": 1}]', ".json")).err, 'event 2: "loose" is no event; did you mean "lose"')
    has(simulate("--events", written('[{"drain": "x"}]', ".json")).err, 'event 1: there is no node "x"')
    has(simulate("--events", written('{}', ".json")).err, "is no array of events")
  end)

  it("tells for which tasks the policy failed, and fails", function()
    local path = written("return { api = 1, name = 'x',\n score = function(task)\n"
      .. " if task.name == 't00002' then error('no two') end return 1 end }")
    local result = simulate("--policy", path)
    assert.equal(1, result.code)
    has(result.err, 'task "t00002": the policy failed for it (error): ')
    has(result.err, "no two")
    local compared = simulate("--compare", path, "--json")
    assert.equal(1, compared.code)
    local answer = json.decode(compared.out)
    assert.equal(0, #answer.failures)
    assert.equal("t00002", answer.compared.failures[1].task)
  end)

  it("places the others where the policy fails for more than one", function()
    local path = written("return { api = 1, name = 'x',\n score = function(task)\n"
      .. " if task.name ~= 't00001' then error('no') end return 1 end }")
    local result = simulate("--policy", path, "--tasks", "3", "--json")
    assert.equal(1, result.code)
    local answer = json.decode(result.out)
    assert.equal(5, answer.placed)
    assert.same({ "t00002", "t00003" }, { answer.failures[1].task, answer.failures[2].task })
  end)

  it("tells of a few tasks when it failed for many", function()
    local result = simulate("--policy", written("return { api = 1, name = 'x',\n score = function(task)\n"
      .. " if tonumber((task.name:sub(2))) % 2 == 0 then error('no') end return 1 end }"),
      "--tasks", "14")
    assert.equal(1, result.code)
    has(result.err, "and 2 tasks more")
  end)

  it("takes a snapshot's cluster, with what runs there", function()
    local codec = require("core.codec")
    local function entry(key, value)
      return { Key = "appmgr/" .. key, Value = codec.base64_encode(value), Session = "s", ModifyIndex = 1 }
    end
    local function feed(topic, body) return { topic = topic, status = 200, index = 1, body = json.encode(body) } end
    local snapshot = written(json.encode({ snapshot = 1, prefix = "appmgr/", feeds = {
      feed("live", { entry("live/a", '{"capacity":{"cpu":1000,"memory_mb":512}}'), entry("live/b", "{}") }),
      feed("node", { entry("node/b", '{"drain":true}') }), feed("version", { "appmgr/version/web/v" }),
      feed("task", { entry("task/web", '{"content":{"command":"sleep 1"}}'), entry("task/bad", "{"),
        entry("task/worse", '{"content":{"command":"sleep 1"},"replication":-1}') }),
      feed("audit", { Results = { { KV = entry("assignment/b",
        '{"replicas":[{"task":"web","slot":0,"version":"v","since":1}]}') } } }),
    } }), ".json")
    local answer = json.decode(run("policy", "simulate", "--snapshot", snapshot, "--json").out)
    assert.equal(1, answer.placed)
    assert.equal(1, answer.moves)
    assert.equal("worse", answer.unusable[1].task)
    has(run("policy", "simulate", "--snapshot", snapshot).err, 'task "worse": replication: must be')
    has(run("policy", "simulate", "--snapshot", written("{}", ".json")).err, "no snapshot of version 1")
  end)
end)
