require("spec.support.core")
local fake_context = require("spec.support.fake_context")
local json = require("appmgr.json")

local function run(answers, words, input)
  local context = fake_context.new(answers, input)
  local code = fake_context.run(context, table.unpack(words))
  return { code = code, out = context.out(), err = context.err(), calls = context.calls }
end

local function has(text, part)
  assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
end

--- Writes documents that are removed with the spec's end.
local function document(text)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
  finally(function() os.remove(path) end)
  return path
end

describe("status", function()
  local STATUS = {
    node = "alpha", version = "0.1.0", pid = 7, uptime_seconds = 65, state_dir = "/s",
    cluster = { consul = true, leader = "alpha", is_leader = true, id = "c-1", session = { id = "s-1", lease_seconds = 9 } },
    applications = { total = 3, states = { running = 2, backoff = 1 }, unhealthy = 1 },
    containment = { level = "cgroup", directory = "/sys/fs/cgroup/appmgr-1" },
    loop = { longest_ms = 13, slow_turns = 2 },
    problems = { { key = "x", text = "something is wrong", since = 0 } },
  }

  it("shows node, place in the cluster, applications and problems", function()
    local result = run({ status = STATUS }, { "status" })
    assert.equal(0, result.code)
    has(result.out, "agent         0.1.0, pid 7, up 1 min 5 s")
    has(result.out, "leader        alpha (this node)")
    has(result.out, "applications  2 running, 1 backoff; 1 of those that run unhealthy")
    has(result.out, "something is wrong")
    has(result.out, "containment   cgroup, in /sys/fs/cgroup/appmgr-1\n")
    has(result.out, "loop          its longest turn took 13 ms; 2 took over 50 ms\n")
  end)

  it("shows why there are no cgroups", function()
    local other = json.decode(json.encode(STATUS))
    other.containment = { level = "session", reason = "cannot make /cg: Permission denied" }
    has(run({ status = other }, { "status" }).out, "session (no cgroups: cannot make /cg: Permission denied)")
    other.containment = nil
    has(run({ status = other }, { "status" }).out, "containment   not known yet\n")
  end)

  it("does not call it none that runs while the keeper has not said what does", function()
    local other = json.decode(json.encode(STATUS))
    other.containment, other.applications = nil, { total = 0, states = {}, unhealthy = 0 }
    has(run({ status = other }, { "status" }).out, "applications  not known yet: the keeper has not answered\n")
  end)

  it("says that the node is leaving", function()
    local other = json.decode(json.encode(STATUS))
    other.leaving = true
    has(run({ status = other }, { "status" }).out, "applications  the node is leaving: 3 are being stopped\n")
  end)

  it("asks Consul who leads when this agent does not watch that", function()
    local codec = require("core.codec")
    local entry = { Key = "appmgr/leader", Session = "s", Value = codec.base64_encode('"beta"') }
    local other = json.decode(json.encode(STATUS))
    other.cluster.leader, other.cluster.is_leader = nil, false
    local result = run({
      status = other,
      ["consul.read"] = { { status = 200, body_base64 = codec.base64_encode(json.encode({ entry })) } },
    }, { "status" })
    has(result.out, "leader        beta\n")
  end)

  it("says that a node works alone", function()
    local alone = json.decode(json.encode(STATUS))
    alone.cluster = { consul = false }
    has(run({ status = alone }, { "status" }).out, "Consul        not configured, this node works alone")
  end)

  it("prints JSON for programs", function()
    assert.same(STATUS, json.decode(run({ status = STATUS }, { "status", "--json" }).out))
  end)
end)

describe("app ls and app show", function()
  local ROWS = {
    { name = "bad", state = "backoff", error = "ENOENT: exec /x", restarts = 3 },
    { name = "web", task = "web", slot = 0, state = "running", pid = 42, memory = 1536, cpu = 12.25, restarts = 0,
      last_start_time = "2026-11-23 16:00:00" },
  }

  it("show what runs and why not", function()
    local result = run({ ["app.list"] = ROWS }, { "app", "ls" })
    has(result.out, "web   web      0  running   42  1.5 KiB  12.2%         0  2026-11-23 16:00:00  -")
    has(result.out, "ENOENT: exec /x")
    assert.equal("no applications on this node\n", run({ ["app.list"] = {} }, { "app", "ls" }).out)
  end)

  it("show limits with how they are kept, and what it uses", function()
    local row = { name = "web", state = "running", cpu = 12.25, resource_limit = { pids = 20, memory_mb = 100 },
      limits_enforced = { memory_mb = "cgroup", pids = "not enforced: no pids controller here" } }
    local result = run({ ["app.show"] = row }, { "app", "show", "web" })
    has(result.out, "resource_limit  memory_mb 100 MB (cgroup), pids 20 (not enforced: no pids controller here)\n")
    has(result.out, "cpu             12.2 % of one processor\n")
    assert.is_nil(result.out:find("limits_enforced", 1, true))
  end)

  it("show when it starts next, and how the last run ended", function()
    local next_start = { name = "job", state = "waiting", ["return"] = 3, next_start_time = "2026-11-23 17:00:00" }
    has(run({ ["app.list"] = { next_start } }, { "app", "ls" }).out, "ended with 3, next start 2026-11-23 17:00:00")
    next_start["return"] = nil
    has(run({ ["app.list"] = { next_start } }, { "app", "ls" }).out, "-        next start 2026-11-23 17:00:00")
    next_start.error = "ended by signal 9"
    has(run({ ["app.list"] = { next_start } }, { "app", "ls" }).out, "ended by signal 9, next start 2026-11-23")
  end)

  it("show one with all its fields", function()
    local result = run({ ["app.show"] = ROWS[2] }, { "app", "show", "web" })
    has(result.out, "memory           1.5 KiB (1536 bytes)")
    assert.same({ name = "web" }, result.calls[1].params)
  end)
end)

describe("app logs", function()
  it("writes bytes as they come", function()
    local codec = require("core.codec")
    local result = run({ ["app.logs"] = function(params, on_event)
      assert.same({ name = "web", lines = 5, follow = true }, params)
      on_event({ bytes_base64 = codec.base64_encode("a\n") })
      on_event({ bytes_base64 = codec.base64_encode("\xff") })
      return { ended = "gone" }
    end }, { "app", "logs", "web", "-n", "5", "-f" })
    assert.equal("a\n\xff", result.out)
    assert.equal("gone\n", result.err)
  end)

  it("says when there is nothing", function()
    has(run({ ["app.logs"] = {} }, { "app", "logs", "web" }).err, 'application "web" has written nothing yet')
  end)
end)

describe("app logs --since", function()
  local codec = require("core.codec")

  it("asks for part after part, and follows from the end of the last", function()
    local step = 0
    local result = run({ ["app.logs"] = function(params, on_event)
      step = step + 1
      local from = params.from
      on_event({ bytes_base64 = codec.base64_encode(step .. "\n"), at = { step } })
      if step == 1 then
        assert.equal("web", params.name)
        assert.is_true(math.abs(os.time() - 600 - params.since) <= 60)
        return { more = true, at = { 1 } }
      end
      assert.same({ step - 1 }, from)
      assert.equal(step == 3, params.follow == true)
      return step == 2 and { at = { 2 } } or { ended = "gone" }
    end }, { "app", "logs", "web", "--since", "10m", "-f" })
    assert.equal("1\n2\n3\n", result.out)
    assert.same({ 0, 3 }, { result.code, step })
  end)

  it("says what is wrong with a time, with both ways to say how much, and that there was nothing", function()
    local bad = run({}, { "app", "logs", "web", "--since", "soon" })
    assert.equal(2, bad.code)
    has(bad.err, '"soon" is no time; write 10m, 2h')
    assert.equal(2, run({}, { "app", "logs", "web", "--since", "1h", "-n", "3" }).code)
    has(run({ ["app.logs"] = { at = {} } }, { "app", "logs", "web", "--since", "1h" }).err, "has written nothing since then")
  end)
end)

describe("app logs -f", function()
  local codec = require("core.codec")

  --- Runs it against agents that come one after the other; each is a function(params, on_event).
  local function follow(agents)
    local step, slept = 0, 0
    local context = fake_context.new({ ["app.logs"] = function(params, on_event)
      step = math.min(step + 1, #agents)
      return agents[step](params, on_event)
    end })
    function context.sleep(_, ms) slept = slept + ms end
    local code = fake_context.run(context, "app", "logs", "web", "-f")
    return { code = code, out = context.out(), err = context.err(), slept = slept }
  end

  it("goes on where it was when the agent is back", function()
    local result = follow({
      function(_, on_event)
        on_event({ bytes_base64 = codec.base64_encode("one\n"), at = { inode = 5, position = 4, mtime_s = 1 } })
        return nil, "ended", "closed"
      end,
      function() return nil, "no agent answers", "no_agent" end,
      function() return nil, "not known yet", "unavailable" end,
      function(params, on_event)
        assert.same({ inode = 5, position = 4, mtime_s = 1 }, params.from)
        on_event({ bytes_base64 = codec.base64_encode("two\n"), at = { inode = 5, position = 8, mtime_s = 2 } })
        return { ended = "gone" }
      end,
    })
    assert.equal(0, result.code)
    assert.equal("one\ntwo\n", result.out)
    assert.equal("appmgr: the agent is away; waiting for it\ngone\n", result.err)
    assert.equal(600, result.slept)
  end)

  it("waits a minute, and not at all for an agent that was never there", function()
    local away = function() return nil, "no agent answers", "no_agent" end
    assert.same({ 1, 0 }, { follow({ away }).code, follow({ away }).slept })
    local result = follow({ function(_, on_event)
      on_event({ bytes_base64 = "", at = { inode = 0, position = 0, mtime_s = 0 } })
      return nil, "ended", "closed"
    end, away })
    assert.equal(1, result.code)
    assert.equal(60000, result.slept)
    has(result.err, "did not come back within 60 s")
  end)

  it("fails on other errors", function()
    local result = follow({ function(_, on_event)
      on_event({ bytes_base64 = "", at = { inode = 0, position = 0, mtime_s = 0 } })
      return nil, 'no application "web"', "not_found"
    end })
    assert.same({ 1, 0 }, { result.code, result.slept })
  end)
end)

describe("app add", function()
  it("refuses a document in which a key stands twice", function()
    local result = run({}, { "app", "add", "-" }, { stdin = { '{"name":"a","command":"x","command":"y"}' } })
    assert.equal(1, result.code)
    assert.truthy(result.err:find('standard input:1: "command" stands twice in one object', 1, true), result.err)
  end)

  local GOOD = '{"name":"web","command":"sleep 1"}'

  it("sends documents as they were written, from files and the standard input", function()
    local result = run({ ["app.add"] = { { name = "web", outcome = "created", warning = "task" } } },
      { "app", "add", document(GOOD) })
    assert.equal(0, result.code)
    assert.equal('application "web" added\n', result.out)
    assert.equal("appmgr: task\n", result.err)
    assert.same({ documents = { GOOD } }, result.calls[1].params)
    result = run({ ["app.add"] = { { name = "web", outcome = "updated" } } }, { "app", "add", "-" }, { stdin = { GOOD } })
    assert.equal('application "web" changed\n', result.out)
  end)

  it("adds nothing when one is wrong, and says all that is", function()
    local bad = document('{"name":"neg","comand":"x","stop_timeout":-1}')
    local result = run({}, { "app", "add", document(GOOD), bad, document(GOOD), "/no/such/file", document("{") })
    assert.equal(1, result.code)
    assert.same({}, result.calls)
    for _, text in ipairs({ bad .. ': application "neg": stop_timeout', 'did you mean "command"', "stands in", "/no/such/file: No",
      "is no JSON", "nothing was added" }) do
      has(result.err, text)
    end
  end)
end)

describe("commands that change applications", function()
  local TEXTS = {
    rm = { "app.remove", { outcome = "removed" }, 'application "a" removed' },
    enable = { "app.enable", { outcome = "enabled" }, 'application "a" enabled' },
    disable = { "app.disable", { outcome = "unchanged" }, 'application "a" is disabled already' },
    reload = { "app.reload", { outcome = "reloaded", signal = 1 }, 'application "a" was sent signal 1' },
    restart = { "app.restart", { outcome = "restarted", pid = 7 }, 'application "a" runs again as pid 7' },
  }

  local TOGETHER = { rm = true, enable = true, disable = true }

  --- An agent that does as `expected`, but for "b".
  local function answers_of(command, expected)
    local function one(name)
      if name == "b" then return nil, "b is refused" end
      local answer = { name = name }
      for key, value in pairs(expected[2]) do answer[key] = value end
      return answer
    end
    return { [expected[1]] = function(params)
      if not TOGETHER[command] then return one(params.name) end
      local results = {}
      for index, name in ipairs(params.names) do
        local answer, err = one(name)
        results[index] = answer or { name = name, error = { code = "conflict", message = err } }
      end
      return results
    end }
  end

  it("do it for each name, and fail when one is refused", function()
    for command, expected in pairs(TEXTS) do
      local answers = answers_of(command, expected)
      local result = run(answers, { "app", command, "a", "b", "c" })
      assert.equal(1, result.code)
      has(result.out, expected[3] .. "\n")
      has(result.out, '"c"')
      has(result.err, "b is refused")
      assert.equal(TOGETHER[command] and 1 or 3, #result.calls)
      local decoded = json.decode(run(answers, { "app", command, "a", "--json" }).out)
      assert.equal("a", decoded[1].name)
      assert.equal(2, run({}, { "app", command }).code)
    end
  end)

  it("ask in parts for what is too much for a request, and stop at one that is refused", function()
    local names = {}
    for index = 1, 30 do names[index] = ("%d"):format(index) .. ("x"):rep(100000) end
    local sizes, refuse_at = {}, nil
    local answers = { ["app.remove"] = function(params)
      if #sizes + 1 == refuse_at then return nil, "the disk is full" end
      sizes[#sizes + 1] = #json.encode(params)
      local results = {}
      for index, name in ipairs(params.names) do results[index] = { name = name, outcome = "removed" } end
      return results
    end }
    local result = run(answers, { "app", "rm", table.unpack(names) })
    assert.equal(0, result.code)
    assert.equal(30, select(2, result.out:gsub("removed\n", "")))
    assert.equal(5, #sizes)
    for _, size in ipairs(sizes) do assert.is_true(size < 1024 * 1024 - 4096, size) end
    sizes, refuse_at = {}, 3
    result = run(answers, { "app", "rm", table.unpack(names) })
    assert.equal(1, result.code)
    assert.equal(14, select(2, result.out:gsub("removed\n", "")))
    assert.equal("appmgr: the disk is full\nthe last 16 of 30 were not changed\n", result.err)
  end)
end)

describe("commands that change tasks", function()
  it("say what was done", function()
    for command, expected in pairs({
      enable = { "updated", 'task "a" enabled' }, disable = { "unchanged", 'task "a" is disabled already' },
      restart = { "updated", '"appmgr task show a" follows it' },
    }) do
      local answers = { ["task." .. command] = function(params) return { name = params.name, outcome = expected[1] } end }
      local result = run(answers, { "task", command, "a" })
      assert.equal(0, result.code)
      has(result.out, expected[2])
    end
  end)
end)

describe("app exec-history", function()
  local RUNS = {
    { start_time = "2026-11-23 16:00:00", end_time = "2026-11-23 16:00:00", ran_seconds = 0.25, pid = 5, code = 3,
      next = "restart" },
    { start_time = "2026-11-23 16:00:01", error = "ENOENT: exec /x", next = "restart" },
    { start_time = "2026-11-23 16:00:02", end_time = "2026-11-23 16:01:07", ran_seconds = 65.5, pid = 6, signal = 15,
      next = "stop" },
    { start_time = "2026-11-23 16:02:00", ran_seconds = 90061, pid = 7 },
  }

  it("shows runs and failed starts", function()
    local result = run({ ["app.history"] = RUNS }, { "app", "exec-history", "web", "-n", "4" })
    assert.same({ name = "web", count = 4 }, result.calls[1].params)
    assert.equal(table.concat({
      "STARTED              ENDED                      RAN  PID  RESULT",
      "2026-11-23 16:00:00  2026-11-23 16:00:00     0.25 s    5  exit code 3",
      "2026-11-23 16:00:01  -                            -    -  ENOENT: exec /x",
      "2026-11-23 16:00:02  2026-11-23 16:01:07  1 min 5 s    6  signal 15, stopped",
      "2026-11-23 16:02:00  -                      1 d 1 h    7  runs",
      "",
    }, "\n"), result.out)
  end)

  it("shows an end that nobody saw", function()
    local function shown(unseen)
      unseen.start_time, unseen.end_time, unseen.pid = "2026-11-23 16:00:00", "2026-11-23 16:00:09", 5
      return run({ ["app.history"] = { unseen } }, { "app", "exec-history", "web" }).out
    end
    has(shown({ next = "restart" }), "2026-11-23 16:00:09    -    5  exit code unknown\n")
    has(shown({ next = "stop" }), "exit code unknown, stopped\n")
  end)

  it("says that there was none, and prints JSON", function()
    has(run({ ["app.history"] = {} }, { "app", "exec-history", "web" }).out, "has not been started yet")
    assert.equal("STARTED  ENDED  RAN  PID  RESULT\n",
      run({ ["app.history"] = {} }, { "app", "exec-history", "web", "-n", "0" }).out)
    assert.equal("[]\n", run({ ["app.history"] = {} }, { "app", "exec-history", "web", "--json" }).out)
    assert.same(RUNS, json.decode(run({ ["app.history"] = RUNS }, { "app", "exec-history", "web", "--json" }).out))
  end)
end)

describe("task apply", function()
  local GOOD = '{"content":{"name":"web","command":"sleep 1"},"replication":2}'

  it("sends each document as it was written", function()
    local path = document(GOOD)
    local result = run({ ["task.apply"] = { name = "web", outcome = "created" } }, { "task", "apply", path })
    assert.equal(0, result.code)
    assert.equal('task "web" created\n', result.out)
    assert.same({ name = "web", document = GOOD }, result.calls[1].params)
  end)

  it("reads the standard input", function()
    local result = run({ ["task.apply"] = { name = "web", outcome = "unchanged" } }, { "task", "apply", "-" },
      { stdin = { GOOD } })
    assert.equal('task "web" unchanged\n', result.out)
  end)

  it("writes nothing when one of them is wrong, and says all that is", function()
    local good, bad = document(GOOD), document('{"content":{"name":"neg","command":"x"},"replication":-1}')
    local result = run({}, { "task", "apply", good, bad, "/no/such/file" })
    assert.equal(1, result.code)
    assert.same({}, result.calls)
    has(result.err, 'task "neg": replication: must be a whole number')
    has(result.err, "/no/such/file: No such file or directory")
    has(result.err, "nothing was written")
  end)

  it("refuses what is no task", function()
    local function refused(text, expected)
      local result = run({}, { "task", "apply", document(text) })
      assert.equal(1, result.code)
      has(result.err, expected)
    end
    refused("{", "is no JSON")
    refused("null", "is no JSON")
    refused("[]", "is no JSON object")
    refused("{}", 'has no "content"')
    refused('{"content":{"command":"x"}}', "content.name: is missing; it names the task")
    refused('{"contnet":{"command":"x"}}', 'has no "content": "contnet" is no field, did you mean "content"?')
    refused('{"content":{"nmae":"a","command":"x"}}', 'content.name: is missing; "nmae" is no field, did you mean "name"?')
    refused('{"content":{"name":"a","comand":"x"}}', 'content.command: is missing; "comand" is no field, did you mean "command"?')
    refused('{"content":{"name":"a/b","command":"x"}}', 'holds "/"')
    refused('{"content":{"name":"big","command":"x","comments":"' .. ("x"):rep(400000) .. '"},"replication":1}',
      "fit into a transaction")
    refused((" "):rep(600000), "larger than the 512 KiB that Consul takes")
  end)

  it("refuses a task that stands in two files", function()
    local result = run({}, { "task", "apply", document(GOOD), document(GOOD) })
    has(result.err, 'task "web" stands in')
  end)

  it("warns of what has no effect, and goes on", function()
    local path = document('{"content":{"name":"web","command":"x"},"replicatoin":2,"service":{"name":"x"}}')
    local result = run({ ["task.apply"] = { name = "web", outcome = "created" } }, { "task", "apply", path })
    assert.equal(0, result.code)
    has(result.err, 'did you mean "replication"?')
    has(result.err, "service: this version cannot honour it; the task stays pending")
  end)

  it("goes on with the other documents when one is refused", function()
    local other = document('{"content":{"name":"db","command":"x"},"replication":1}')
    local result = run({ ["task.apply"] = function(params)
      if params.name == "web" then return nil, "Consul said no" end
      return { name = params.name, outcome = "created" }
    end }, { "task", "apply", document(GOOD), other })
    assert.equal(1, result.code)
    assert.equal('task "db" created\n', result.out)
    assert.equal("appmgr: Consul said no\n", result.err)
  end)
end)

describe("task scale and task rm", function()
  it("take a number or all", function()
    local answers = { ["task.scale"] = { name = "web", outcome = "updated" } }
    assert.equal('task "web" scaled to 3\n', run(answers, { "task", "scale", "web", "3" }).out)
    assert.same({ name = "web", replication = "all" }, run(answers, { "task", "scale", "web", "all" }).calls[1].params)
    answers = { ["task.scale"] = { name = "web", outcome = "unchanged" } }
    has(run(answers, { "task", "scale", "web", "3" }).out, "unchanged")
  end)

  it("refuse anything else as wrong usage", function()
    for _, count in ipairs({ "-1", "1.5", "10001", "many", "0x10", "99999999999999999999" }) do
      local result = run({}, { "task", "scale", "web", count })
      assert.equal(2, result.code)
      has(result.err, "COUNT is a whole number from 0 to 10000")
    end
  end)

  it("remove what they can", function()
    local result = run({ ["task.remove"] = function(params)
      if params.name == "a" then return nil, "there is no task" end
      return { name = params.name, outcome = "removed" }
    end }, { "task", "rm", "a", "b" })
    assert.equal(1, result.code)
    assert.equal('task "b" removed\n', result.out)
  end)
end)

describe("cluster restore", function()
  local PLAN = {
    cluster = "c-1", notes = { "a note" }, tasks = { { name = "web", source = "replicas", document = "{}" } },
    hosts = { { node = "alpha", replicas = { { task = "web", slot = 0 } } }, { node = "beta", replicas = {} } },
  }
  local ANSWERS = { ["cluster.restore"] = function(params)
    return params.apply and { cluster = "c-1", hosts = 2, tasks = 1 } or PLAN
  end }

  it("shows the plan and writes nothing without a yes", function()
    for _, word in ipairs({ "n", "", "nope" }) do
      local result = run(ANSWERS, { "cluster", "restore" }, { stdin = { word } })
      assert.equal(1, result.code)
      assert.equal(1, #result.calls)
      has(result.out, "alpha  web.0")
      has(result.out, "beta   nothing")
      has(result.out, "a note")
      has(result.err, "nothing was written")
    end
    assert.equal(1, run(ANSWERS, { "cluster", "restore" }).code)
  end)

  it("writes after a yes, or with --yes", function()
    local result = run(ANSWERS, { "cluster", "restore" }, { stdin = { "Yes" } })
    assert.equal(0, result.code)
    has(result.out, "restored: 1 task and what 2 nodes ran")
    assert.equal(2, #run(ANSWERS, { "cluster", "restore", "-y" }).calls)
  end)

  it("only shows the plan with --json", function()
    local result = run(ANSWERS, { "cluster", "restore", "--json" })
    assert.equal(1, #result.calls)
    assert.equal("c-1", json.decode(result.out).cluster)
  end)
end)

describe("cluster accept and leave", function()
  it("say what was done", function()
    has(run({ ["cluster.accept"] = { cluster = "b", before = "a" } }, { "cluster", "accept" }).out, "accepted")
    has(run({ ["cluster.accept"] = { cluster = "a", before = "a" } }, { "cluster", "accept" }).out, "nothing to accept")
    local waits_long
    local function leave(_, on_event)
      waits_long = on_event ~= nil
      return { node = "alpha", stopped = 1 }
    end
    run({ leave = leave }, { "leave" })
    assert.is_true(waits_long, "applications may take an hour to stop")
    local result = run({ leave = { node = "alpha", stopped = 1, warning = "the session ends by itself" } }, { "leave" })
    has(result.out, 'node "alpha" has left: 1 application stopped')
    has(result.err, "the session ends by itself")
  end)
end)

describe("keeper upgrade", function()
  it("says that it is done, or why the old program goes on", function()
    has(run({ ["keeper.upgrade"] = { applications = 3 } }, { "keeper", "upgrade" }).out, "it keeps 3 applications")
    local result = run({ ["keeper.upgrade"] = function() return nil, "cannot take over the records" end },
      { "keeper", "upgrade" })
    assert.equal(1, result.code)
    has(result.err, "cannot take over the records")
  end)
end)

describe("repl", function()
  local function shell(lines, results)
    local position = 0
    return run({
      status = {},
      ["repl.eval"] = function(params, on_event)
        if params.code == "" then return { outcome = "ok", values = {}, prompt = { node = "alpha" } } end
        position = position + 1
        if results[position].print then on_event({ print = results[position].print }) end
        return results[position], results[position].failure
      end,
    }, { "repl" }, { stdin = lines, core = { terminal = { is_terminal = function() return false end } } })
  end

  it("evaluates one expression", function()
    local result = run({ ["repl.eval"] = { outcome = "ok", values = { "2", "3" } } }, { "repl", "-e", "2, 3" })
    assert.same({ 0, "2\n3\n" }, { result.code, result.out })
    assert.same({ code = "2, 3", more = false }, result.calls[1].params)
    result = run({ ["repl.eval"] = { outcome = "error", message = "oh", traceback = "at" } }, { "repl", "-e", "x" })
    assert.same({ 1, "", "oh\nat\n" }, { result.code, result.out, result.err })
  end)

  it("reads lines from the standard input, unfinished ones together", function()
    local result = shell({ "1", "for", "end", "", "exit", "2" }, {
      { outcome = "ok", values = { "1" } }, { outcome = "incomplete" }, { outcome = "ok", values = {}, print = "x" },
    })
    assert.same({ 0, "1\nx\n" }, { result.code, result.out })
    local codes = {}
    for _, call in ipairs(result.calls) do codes[#codes + 1] = call.params and call.params.code end
    assert.same({ "", "1", "for", "for\nend" }, codes)
  end)

  it("fails when a line fails or is never finished", function()
    assert.equal(1, shell({ "x" }, { { outcome = "error", message = "oh" } }).code)
    assert.equal(1, shell({ "for" }, { { outcome = "incomplete" } }).code)
  end)
end)

describe("what is wanted of a node", function()
  local function node(words, outcome)
    local result = run({ ["node.set"] = { name = "beta", outcome = outcome or "updated" } }, words)
    return result, result.calls[1] and result.calls[1].params
  end

  it("is a set of labels", function()
    local result, params = node({ "node", "label", "beta", "zone=b", "note=a=b", "rack-" })
    assert.equal(0, result.code)
    assert.same({ name = "beta", labels = { zone = "b", note = "a=b" }, forget_labels = { "rack" } }, params)
    has(result.out, 'node "beta" labelled')
    assert.equal(2, node({ "node", "label", "beta", "zone" }).code)
    assert.equal(2, node({ "node", "label", "beta", "a b=c" }).code)
    assert.equal(2, node({ "node", "label", "beta" }).code)
  end)

  it("is a drain, with or without an end", function()
    local _, params = node({ "node", "drain", "beta" })
    assert.is_true(params.drain)
    _, params = node({ "node", "drain", "beta", "--deadline", "30m", "--wait-for-room" })
    assert.is_true(params.drain.wait_for_room)
    assert.truthy(math.abs(params.drain.deadline - os.time() - 1800) < 60)
    _, params = node({ "node", "drain", "beta", "--wait-for-room" })
    assert.same({ wait_for_room = true }, params.drain)
    for _, word in ipairs({ "soon", "0", "-5", "1w", "99999999999999" }) do
      assert.equal(2, node({ "node", "drain", "beta", "--deadline=" .. word }).code)
    end
    local result
    result, params = node({ "node", "undrain", "beta" }, "unchanged")
    assert.is_false(params.drain)
    has(result.out, "it is not being drained")
  end)

  it("is whether it may have new replicas", function()
    assert.is_true(select(2, node({ "node", "eligible", "beta" })).eligible)
    local result, params = node({ "node", "ineligible", "beta", "--force", "--json" })
    assert.same({ false, true }, { params.eligible, params.force })
    assert.equal("beta", json.decode(result.out).name)
  end)

  it("is refused as the agent says", function()
    local result = run({ ["node.set"] = function() return nil, 'there is no node "bta"' end }, { "node", "drain", "bta" })
    assert.equal(1, result.code)
    has(result.err, 'there is no node "bta"')
  end)
end)
