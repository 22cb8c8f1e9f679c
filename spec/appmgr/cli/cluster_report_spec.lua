require("spec.support.core")
local codec = require("core.codec")
local fake_context = require("spec.support.fake_context")
local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")

local STATUS = { node = "alpha", cluster = { consul = true, prefix = "appmgr" }, problems = {} }
local REPORT = {
  type = "report", problems = { { key = "task/a/b", text = "task/a/b: stands too deep" }, { key = "task/web", text = "x" } },
  tasks = {
    { name = "db", replication = 1, running = 1, assigned = 1, pending = 0, version = "abcdef0123456789",
      warnings = {}, reasons = {}, slots = { { slot = 0, node = "alpha", state = "running", version = "abcdef0123456789" } } },
    { name = "old", removed = true, running = 1, assigned = 1, pending = 0, warnings = {}, reasons = {},
      slots = { { slot = 0, node = "beta", state = "running" } } },
    { name = "web", replication = 4, running = 1, assigned = 2, pending = 2, reason = "2 of 2 nodes: full", warnings = {},
      reasons = {}, slots = { { slot = 0, node = "alpha", state = "running" }, { slot = 1, node = "alpha", state = "starting" } } },
    { name = "wrong", error = "is no JSON", running = 0, assigned = 0, pending = 0, warnings = {}, reasons = {}, slots = {} },
  },
  nodes = {
    { name = "alpha", eligible = true, labels = { zone = "a", arch = "x" }, capacity = { cpu = 2000, memory_mb = 2048, gpu = 2 },
      room = { cpu = { available = 2000, used = 500 }, memory_mb = { available = 2048, used = 0 }, gpu = { available = 2, used = 1 } },
      replicas = 2, running = 1, local_applications = { "ping" }, version = "0.1.0" },
    { name = "beta", eligible = true, drain = true, labels = {}, capacity = {}, room = {}, replicas = 0, running = 0,
      local_applications = {}, error = "is no JSON object" },
  },
}

--- A store that answers consul.read from a table of listings by key.
local function consul(listings)
  return function(params)
    local answers = {}
    for i, read in ipairs(params.keys) do
      local listing = listings[read.audit and "audit" or read.key]
      answers[i] = {
        status = listing and 200 or 404, index = 7, body_base64 = codec.base64_encode(listing and json.encode(listing) or ""),
      }
    end
    return answers
  end
end

--- A core whose planner answers the last message with `answer`, once the loop runs.
local function fake_core(answer, exit_reason)
  local core = { sent = {}, killed = false }
  local options
  core.planner = { start = function(given)
    options = given
    return {
      send = function(_, bytes) core.sent[#core.sent + 1] = { frame.decode(bytes) } end,
      kill = function() core.killed = true end,
    }
  end }
  core.timer = { after = function() return { cancel = function() end } end }
  core.loop = {
    stop = function() end,
    run = function()
      if exit_reason then return options.on_exit(exit_reason) end
      options.on_message(frame.encode({ type = "configured", ok = true }))
      options.on_message(frame.encode(answer))
    end,
  }
  return core
end

local LISTINGS = {
  ["leader"] = { { Key = "appmgr/leader", Session = "s", Value = codec.base64_encode('"beta"') } },
  ["live/"] = { { Key = "appmgr/live/alpha", Session = "s" }, { Key = "appmgr/live/beta", Session = "t" },
    { Key = "appmgr/live/gone" } },
  ["task/"] = { { Key = "appmgr/task/" } },
  ["audit"] = { Results = {} },
  ["status/alpha/applications"] = { { Key = "appmgr/status/alpha/applications" } },
}

local function run(words, changes)
  changes = changes or {}
  local core = changes.core or fake_core(REPORT)
  local context = fake_context.new({
    status = changes.status or STATUS,
    ["consul.read"] = changes.read or consul(changes.listings or LISTINGS),
    ["policy.configured"] = { name = "spread", source = "return {}" },
  }, { core = core })
  local code = fake_context.run(context, table.unpack(words))
  return { code = code, out = context.out(), err = context.err(), core = core }
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

describe("the cluster's report", function()
  it("feeds a planner with Consul's bytes and ends it", function()
    local sent = run({ "tasks" }).core.sent
    local topics = {}
    for i, message in ipairs(sent) do
      topics[i] = message[1].type .. " " .. (message[1].topic or "") .. (message[1].host or "")
    end
    assert.same({
      "configure ", "feed task", "feed live", "feed node", "feed version", "feed audit", "feed statusalpha",
      "feed statusbeta", "report ",
    }, topics)
    assert.equal("return {}", sent[1][2])
    assert.same({ type = "feed", topic = "task", status = 200, index = 7 }, sent[2][1])
    assert.equal(json.encode(LISTINGS["task/"]), sent[2][2])
    assert.equal(404, sent[4][1].status)
  end)

  it("shows tasks, why replicas are pending, and what has no row", function()
    local result = run({ "tasks" })
    assert.equal(0, result.code)
    has(result.out, "db          1        1        0  abcdef01  alpha     ok\n")
    has(result.out, "old         -        1        0  -         beta      to be removed\n")
    has(result.out, 'task "old": is removed, and 1 of its replicas go on; if that lasts, "appmgr plan" says what has to be confirmed')
    has(result.out, "web         4        1        2  -         alpha(2)  pending\n")
    has(result.out, 'task "web": 2 pending: 2 of 2 nodes: full')
    has(result.out, 'task "wrong": is no JSON; what runs of it stays as it is')
    has(result.out, "task/a/b: stands too deep")
    has(result.out, "leader: beta\n")
    assert.is_true(result.core.killed)
  end)

  it("shows nodes", function()
    local result = run({ "nodes" })
    has(result.out, "alpha  ready         2        1      1  0.5/2  0/2.0 GiB  gpu 1/2  arch=x zone=a  0.1.0")
    has(result.out, "beta   error")
    has(result.out, 'node "beta": is no JSON object')
  end)

  it("shows how a node is to be drained", function()
    local report = json.decode(json.encode(REPORT))
    report.nodes[1].drain, report.nodes[1].wait_for_room, report.nodes[1].drain_deadline = true, true, 1700000000
    has(run({ "nodes" }, { core = fake_core(report) }).out, "draining, waiting for room, until 2023-11-1")
  end)

  it("shows what a task asks for, and its ports", function()
    local report = json.decode(json.encode(REPORT))
    report.tasks[1].resources, report.tasks[1].resources_defaulted = { cpu = 1, memory_mb = 64 }, { "cpu" }
    report.tasks[1].slots[1].ports = { http = 8080, admin = 20001 }
    local out = run({ "task", "show", "db" }, { core = fake_core(report) }).out
    has(out, "cpu 1 (by default), memory_mb 64")
    has(out, "admin=20001 http=8080")
  end)

  it("shows of each slot what its node says of the process", function()
    local report = json.decode(json.encode(REPORT))
    local slot = report.tasks[1].slots[1]
    slot.pid, slot.memory, slot.cpu, slot.restarts = 4711, 2 * 1024 * 1024, 12.34, 3
    local out = run({ "task", "show", "db" }, { core = fake_core(report) }).out
    assert.truthy(out:find("PID +MEMORY +CPU +RESTARTS"), out)
    assert.truthy(out:find("4711 +2.0 MiB +12.3%% +3"), out)
  end)

  it("says when nobody leads, and what this agent says of the cluster", function()
    local listings = setmetatable({ leader = { { Key = "appmgr/leader", Value = "" } } }, { __index = LISTINGS })
    local status = { node = "alpha", cluster = STATUS.cluster, problems = {
      { key = "cluster", text = "meta is missing" }, { key = "keeper", text = "only here" },
    } }
    local result = run({ "tasks" }, { listings = listings, status = status })
    has(result.out, "nobody leads at the moment")
    has(result.out, "meta is missing")
    assert.is_nil(result.out:find("only here", 1, true))
  end)

  it("shows one task with slots and document", function()
    local listings = setmetatable({ ["task/db"] = { { Key = "appmgr/task/db", Value = codec.base64_encode('{"a":1}') } } },
      { __index = LISTINGS })
    local result = run({ "task", "show", "db" }, { listings = listings })
    has(result.out, "   0  alpha  running  abcdef01")
    has(result.out, '"a": 1')
    result = run({ "task", "show", "db", "--json" }, { listings = listings })
    assert.same({ a = 1 }, json.decode(result.out).document)
    result = run({ "task", "show", "wbe" })
    assert.equal(1, result.code)
    has(result.err, 'did you mean "web"?')
  end)

  it("prints JSON for programs", function()
    local document = json.decode(run({ "tasks", "--json" }).out)
    assert.equal("beta", document.leader)
    assert.equal(4, #document.tasks)
    assert.equal(2, #json.decode(run({ "nodes", "--json" }).out).nodes)
  end)

  it("fails with the reason", function()
    local result = run({ "tasks" }, { status = { node = "alpha", cluster = { consul = false }, problems = {} } })
    assert.equal(1, result.code)
    has(result.err, "works without Consul")
    result = run({ "tasks" }, { read = function(params)
      local answers = {}
      for i in ipairs(params.keys) do answers[i] = { error = "Consul cannot be reached" } end
      return answers
    end })
    assert.equal("appmgr: Consul cannot be reached\n", result.err)
    has(run({ "nodes" }, { core = fake_core(REPORT, "killed") }).err, "the planner ended: killed")
    has(run({ "nodes" }, { core = fake_core({ type = "error", message = "no" }) }).err, "the planner refused a message: no")
  end)
end)

describe("plan", function()
  local function step(what, slot) return { node = "alpha", task = "web", slot = slot, step = what, version = "abcdef0123" } end

  local function answer(next_steps, way_fields)
    local function rows(name, steps) return #steps > 0 and { { name = name, steps = steps } } or {} end
    local all = { step("update", 0), step("end", 1) }
    local way = { steps = 2, is_whole = true, outcome = "ok", pending = {}, nodes = rows("alpha", all), tasks = rows("web", all) }
    for name, value in pairs(way_fields or {}) do way[name] = value end
    return {
      type = "plan", index = 7, restraints = {}, confirm = {}, pending = {}, outcome = "ok", way = way,
      nodes = rows("alpha", next_steps), tasks = rows("web", next_steps),
    }
  end

  local function plan(...) return run({ "plan" }, { core = fake_core(answer(...)) }).out end

  it("shows the next step, and below it where that ends", function()
    assert.equal(table.concat({
      "node alpha", "  ~ web.0  gets version abcdef01", "task web", "  ~ slot 0 on alpha  gets version abcdef01", "",
      "in the end, after 2 steps:", "node alpha", "  ~ web.0  gets version abcdef01", "  - web.1", "task web",
      "  ~ slot 0 on alpha  gets version abcdef01", "  - slot 1 on alpha", "", "index: 7", "",
    }, "\n"), plan({ step("update", 0) }))
  end)

  it("says when nothing would change, now or later", function()
    assert.equal("nothing would change\nindex: 7\n", plan({}, { steps = 0 }))
    has(plan({}), "nothing would change\n\nin the end, after 2 steps:\n")
  end)

  it("counts what stays pending, where that is known", function()
    local text = plan({}, { pending = {
      { name = "web", pending = 2, reason = "full" }, { name = "wrong", pending = 0, reason = "the document cannot be used" },
    } })
    has(text, 'task "web": 2 pending: full\n')
    has(text, 'task "wrong": pending: the document cannot be used\n')
  end)

  it("says when the way was not gone to its end", function()
    has(plan({}, { is_whole = false, steps = 2000 }), "after 2000 steps, which are not all:\n")
    has(plan({}, { is_whole = false, steps = 1, outcome = "error", outcome_message = "x:1: no" }),
      "after 1 step the policy fails (error: x:1: no); until then:\n")
  end)
end)
