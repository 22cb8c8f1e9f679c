--- The command line against running agents: answers, refusals, exit codes, the socket.
local json = require("dkjson")
local uv = require("luv")
local Agent = require("tests.lib.agent")
local base64 = require("tests.lib.base64")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local COMMANDS = {
  "agent", "status", "nodes", "node label", "node drain", "node undrain", "node eligible",
  "node ineligible", "tasks", "task apply", "task show", "task scale", "task enable", "task disable", "task restart",
  "task rm", "app ls", "app show", "app logs", "app exec-history", "app add", "app rm", "app enable", "app disable",
  "app restart", "app reload",
  "cluster accept", "cluster restore", "leave", "repl",
  "policy put", "policy use", "policy rollback", "policy ls", "policy show", "policy rm",
  "policy check", "policy test", "policy simulate", "config check", "lua",
}

describe("the command line", function()
  local test, consul, alpha, beta

  local function words(text)
    local list = {}
    for word in text:gmatch("%S+") do
      list[#list + 1] = word
    end
    return list
  end

  local function run(text, options)
    local argv = words(text)
    argv[#argv + 1] = options
    return alpha:cli(table.unpack(argv))
  end

  local function document(name, command, replication)
    return json.encode{content = {name = name, command = command}, replication = replication}
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    alpha = test:join("alpha", consul, {config = {Applications = {
      {name = "own", command = "echo first line; exec " .. test:sleeper("own")},
    }}})
    beta = test:join("beta", consul)
    test:wait_for_sleepers("own", 1)
  end)

  teardown(function() test:close() end)

  it("prints its version, and help for every command, on stdout", function()
    local version = run("--version")
    assert.equal(0, version.code)
    assert.matches("^appmgr %d+%.%d+%.%d+\n$", version.stdout)
    local help = run("--help")
    assert.equal(0, help.code)
    for _, command in ipairs(COMMANDS) do
      assert.truthy(help.stdout:find("\n  " .. command, 1, true), command)
      local own = run(command .. " --help")
      assert.equal(0, own.code, command)
      assert.truthy(own.stdout:find("usage: appmgr " .. command, 1, true), own.stdout .. own.stderr)
      assert.equal("", own.stderr)
    end
  end)

  it("answers wrong usage with 2, on stderr, naming what was nearly meant", function()
    for wrong, hint in pairs{["statsu"] = "status", ["task scael web 1"] = "scale", ["task scale web many"] = "task scale",
      ["status --jsno"] = "json", ["app show"] = "app show", [""] = "usage"} do
      local result = run(wrong)
      assert.equal(2, result.code, wrong)
      assert.equal("", result.stdout, wrong)
      assert.truthy(result.stderr:find(hint, 1, true), wrong .. ": " .. result.stderr)
    end
  end)

  it("answers 1 when no agent is there, and says how to name another socket", function()
    local result = process.run({Agent.binary(), "status", "--socket", test.dir .. "/none.sock"})
    assert.equal(1, result.code)
    assert.equal("", result.stdout)
    assert.truthy(result.stderr:find(test.dir .. "/none.sock", 1, true))
    assert.truthy(result.stderr:find("APPMGR_SOCKET", 1, true))
  end)

  it("keeps its socket to its own user", function()
    local mode = function(path) return uv.fs_stat(path).mode & 511 end
    assert.equal(384, mode(alpha.socket))
    assert.equal(448, mode(alpha.socket:match("^(.*)/")))
  end)

  -- Needs nothing of the build's folder, which a stranger may not be able to reach.
  local STRANGER = [[
    local uv = require("luv")
    local pipe = uv.new_pipe()
    pipe:connect(arg[1], function(err)
      assert(not err, err)
      pipe:read_start(function(_, bytes)
        if bytes then return print(bytes) end
        uv.stop()
      end)
      pipe:write('{"id":1,"method":"status"}\n')
    end)
    uv.run()
  ]]

  it("refuses a stranger who can reach the socket", function()
    uv.fs_chmod(test.dir, 493)
    uv.fs_chmod(alpha.dir, 493)
    uv.fs_chmod(alpha.socket:match("^(.*)/"), 493)
    uv.fs_chmod(alpha.socket, 438)
    local script = test.dir .. "/stranger.lua"
    process.spit(script, STRANGER)
    uv.fs_chmod(script, 420)
    local result = process.run({"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--",
      "lua5.4", script, alpha.socket}, {cwd = "/"})
    uv.fs_chmod(alpha.socket, 384)
    uv.fs_chmod(alpha.socket:match("^(.*)/"), 448)
    assert.equal(0, result.code, result.stderr)
    assert.equal("", result.stdout)
    alpha:wait_for_log("65534")
  end)

  it("answers garbage on the socket and lives on", function()
    local answer, closed = "", false
    local pipe = uv.new_pipe()
    pipe:connect(alpha.socket, function()
      pipe:read_start(function(_, bytes)
        answer, closed = answer .. (bytes or ""), bytes == nil
      end)
      pipe:write("this is no JSON\n{\"id\":7,\"method\":\"no.such\"}\n[1,2]\n{\"id\":8,\"method\":\"status\"}\n")
    end)
    loop.wait_for("four answers", 5000, function() return select(2, answer:gsub("\n", "")) == 4, answer end)
    pipe:write(("x"):rep(3 * 1024 * 1024))
    loop.wait_for("an endless line ends the connection", 5000, function() return closed end)
    pipe:close()
    assert.matches('"id":7', answer)
    assert.matches("bad_request", answer)
    assert.equal(0, run("status").code)
  end)

  it("applies tasks from files and from stdin; what is there already is not written again", function()
    process.spit(test.dir .. "/web.json", document("web", test:sleeper("web"), 2))
    local first = run("task apply " .. test.dir .. "/web.json")
    assert.equal(0, first.code, first.stderr)
    test:wait_for_sleepers("web", 2)
    local index = consul:entry("task/web").modify_index
    local again = run("task apply " .. test.dir .. "/web.json")
    assert.equal(0, again.code)
    assert.truthy(again.stdout:find("unchanged", 1, true), again.stdout)
    assert.equal(index, consul:entry("task/web").modify_index)
    local piped = run("task apply -", {stdin = document("piped", test:sleeper("piped"), 1)})
    assert.equal(0, piped.code, piped.stderr)
    test:wait_for_sleepers("piped", 1)
  end)

  it("writes none of several documents when one of them is wrong", function()
    process.spit(test.dir .. "/good.json", document("good", test:sleeper("good"), 1))
    process.spit(test.dir .. "/bad.json", document("bad", test:sleeper("bad"), -3))
    local result = run(("task apply %s/good.json %s/bad.json"):format(test.dir, test.dir))
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("bad.json", 1, true))
    assert.truthy(result.stderr:find("replication", 1, true))
    assert.is_nil(consul:entry("task/good"))
  end)

  it("scales, shows and removes tasks, through any agent", function()
    local scaled = beta:cli("task", "scale", "web", "1")
    assert.equal(0, scaled.code, scaled.stderr)
    test:wait_for_sleepers("web", 1)
    local shown = run("task show web")
    assert.equal(0, shown.code, shown.stderr)
    assert.truthy(shown.stdout:find(test:sleeper("web"), 1, true), shown.stdout)
    local removed = run("task rm piped")
    assert.equal(0, removed.code, removed.stderr)
    test:wait_for_sleepers("piped", 0)
    for _, unknown in ipairs{"task show wbe", "task scale wbe 2", "task rm wbe"} do
      local result = run(unknown)
      assert.equal(1, result.code, unknown)
      assert.truthy(result.stderr:find("web", 1, true), result.stderr)
    end
  end)

  it("shows tasks and nodes as aligned tables and as JSON, leader or not", function()
    for _, agent in ipairs{alpha, beta} do
      local tasks = loop.wait_for("the task table shows one of one running", 10000, function()
        local out = agent:cli("tasks").stdout
        return out:match("\nweb%s[^\n]*1[^\n]*1") and out, out
      end)
      assert.truthy(tasks:find("^%S"), "a header line")
      local nodes = agent:cli("nodes")
      assert.equal(0, nodes.code, nodes.stderr)
      assert.truthy(nodes.stdout:find("\nalpha", 1, true) and nodes.stdout:find("\nbeta", 1, true), nodes.stdout)
      for _, command in ipairs{"tasks", "nodes", "status"} do
        assert.is_table(agent:json(command))
      end
    end
  end)

  it("shows applications with the fields of the status key, and their output", function()
    local rows = alpha:json("app", "ls")
    local own
    for _, row in pairs(rows) do
      own = row.name == "own" and row or own
    end
    local key = consul:document("status/alpha/applications").own
    for _, field in ipairs{"id", "name", "pid", "command", "status", "last_start_time", "state"} do
      assert.equal(key[field], own[field], field)
    end
    assert.equal(own.pid, alpha:json("app", "show", "own").pid)
    local logs = run("app logs own")
    assert.equal("first line\n", logs.stdout)
    local unknown = run("app show onw")
    assert.equal(1, unknown.code)
    assert.truthy(unknown.stderr:find("own", 1, true))
  end)

  it("follows output until it is interrupted", function()
    local out = test.dir .. "/followed"
    local follower = process.start({Agent.binary(), "app", "logs", "-f", "own"},
      {stdout = out, env = {APPMGR_SOCKET = alpha.socket}})
    loop.wait_for("what is there is printed", 5000, function() return process.slurp(out) == "first line\n" end)
    uv.kill(test:sleepers("own")[1], "sigkill")
    loop.wait_for("what comes is printed", 10000, function() return process.slurp(out) == "first line\nfirst line\n" end)
    follower:stop("sigint")
  end)

  it("follows output no longer than somebody reads it", function()
    local out = test.dir .. "/read-once"
    local reading = process.start({"sh", "-c", Agent.binary() .. " app logs -n 1 -f own | head -n 1"},
      {stdout = out, env = {APPMGR_SOCKET = alpha.socket}})
    loop.wait_for("one line is read", 5000, function() return process.slurp(out) == "first line\n" end)
    uv.kill(test:sleepers("own")[1], "sigkill") -- it writes another line when it starts again
    reading:wait(10000)
  end)

  it("fails when its answer cannot be written", function()
    local result = process.run({"sh", "-c", Agent.binary() .. " snapshot > /dev/full"}, {env = {APPMGR_SOCKET = alpha.socket}})
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("standard output: No space left on device", 1, true), result.stderr)
  end)

  it("are answered to a client that sends no more, also when the answer has to be asked from Consul", function()
    consul:put("plain", "text")
    local pipe, text, ended = uv.new_pipe(), "", false
    pipe:connect(alpha.socket, function(err)
      assert(not err, err)
      pipe:write('{"id":1,"method":"consul.read","params":{"keys":[{"key":"plain"}]}}\n')
      pipe:shutdown()
      pipe:read_start(function(_, bytes)
        text, ended = text .. (bytes or ""), not bytes
      end)
    end)
    loop.wait_for("the answer is complete", 10000, function() return ended, text end)
    pipe:close()
    local answer = assert(json.decode(text), text)
    assert.equal(1, answer.id)
    assert.equal(200, answer.result[1].status, text)
    local entry = json.decode(base64.decode(answer.result[1].body_base64))[1]
    assert.equal("text", base64.decode(entry.Value))
  end)

  it("checks a configuration without an agent", function()
    local good = process.run{Agent.binary(), "config", "check", alpha.config_path}
    assert.equal(0, good.code, good.stderr)
    process.spit(test.dir .. "/wrong.json", '{"Aplications": [], "Consul": {"sesion_TTL": 30, "report_interval": "often"}}')
    process.spit(test.dir .. "/policy.json", '{"Policy":{"name":"pinned","options":{"hots":"x"}}}')
    local halting = process.run{Agent.binary(), "config", "check", test.dir .. "/policy.json"}
    assert.equal(1, halting.code)
    assert.truthy(halting.stderr:find('policy.json: policy "pinned": option "hots": is not declared by the policy; did you mean "hosts"?',
      1, true), halting.stderr)
    local wrong = process.run{Agent.binary(), "config", "check", test.dir .. "/wrong.json"}
    assert.equal(1, wrong.code)
    for _, text in ipairs{"Aplications", "Applications", "session_TTL", "report_interval", "wrong.json"} do
      assert.truthy(wrong.stderr:find(text, 1, true), text .. " in " .. wrong.stderr)
    end
  end)

  it("runs a Lua file inside the runtime, without an agent", function()
    process.spit(test.dir .. "/script.lua", 'print(require("core.codec").sha256("abc"):sub(1, 8), ...) return 7')
    local result = process.run{Agent.binary(), "lua", test.dir .. "/script.lua", "one"}
    assert.equal(7, result.code, result.stderr)
    assert.equal("ba7816bf\tone\n", result.stdout)
    process.spit(test.dir .. "/broken.lua", "local function inner() error('on purpose') end inner()")
    local broken = process.run{Agent.binary(), "lua", test.dir .. "/broken.lua"}
    assert.equal(1, broken.code)
    assert.truthy(broken.stderr:find("on purpose", 1, true) and broken.stderr:find("traceback", 1, true), broken.stderr)
  end)
end)

describe("the REPL", function()
  local test, alpha

  setup(function()
    test = harness.open()
    alpha = test:agent("alpha", {config = {Applications = {{name = "own", command = test:sleeper("own")}}}}):start()
    test:wait_for_sleepers("own", 1)
  end)

  teardown(function() test:close() end)

  local function evaluate(code)
    return alpha:cli("repl", "-e", code)
  end

  it("shows the values of expressions, and runs statements", function()
    assert.equal("3\n", evaluate("1 + 2").stdout)
    assert.equal(0, evaluate("local x = 1; x = x + 1").code)
    assert.equal("hello\n", evaluate("print('hello')").stdout)
    assert.matches("own", evaluate("apps").stdout)
    assert.matches("alpha", evaluate("cluster").stdout)
    assert.matches("Applications", evaluate("config").stdout)
    assert.matches("cluster", evaluate("help()").stdout)
  end)

  it("shows errors with a traceback and exit code 1", function()
    local result = evaluate("(function() error('on purpose') end)()")
    assert.equal(1, result.code)
    assert.equal("", result.stdout)
    assert.truthy(result.stderr:find("on purpose", 1, true) and result.stderr:find("traceback", 1, true), result.stderr)
    assert.equal(1, evaluate("1 +").code)
  end)

  it("ends an endless loop after two seconds while the agent goes on working", function()
    local done
    local loops = process.start({Agent.binary(), "repl", "-e", "while true do pcall(function() while true do end end) end"},
      {env = {APPMGR_SOCKET = alpha.socket}, stderr = test.dir .. "/loop.err"})
    assert.equal(0, alpha:cli("status").code)
    uv.kill(test:sleepers("own")[1], "sigkill")
    test:wait_for_sleepers("own", 1)
    assert.equal("2\n", evaluate("1 + 1").stdout)
    done = loops:wait(60000) -- two seconds of the processor's time
    assert.equal(1, done)
    assert.truthy(process.slurp(test.dir .. "/loop.err"):find("2 s", 1, true))
    assert.truthy(alpha.process:is_running())
  end)

  it("is bounded where no hook interrupts it: patterns and memory", function()
    for _, code in ipairs{
      "string.find(('a'):rep(100000), ('a*'):rep(40) .. 'b')",
      "string.rep('x', 1 << 40)",
      "(function() local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1000) .. i end end)()",
    } do
      local result = alpha:cli("repl", "-e", code, {timeout_ms = 60000})
      assert.equal(1, result.code, code)
      assert.equal("2\n", evaluate("1 + 1").stdout, code)
    end
  end)

  it("reaches no file, no process and nothing of the agent's", function()
    local names = "io os.execute os.remove require load loadfile dofile debug package collectgarbage string.dump"
    for name in names:gmatch("%S+") do
      local result = evaluate(name)
      assert.truthy(result.code == 1 or result.stdout == "nil\n", name .. ": " .. result.stdout)
    end
    evaluate("apps.own.command = 'x'; cluster.node = 'y'")
    assert.matches("alpha", evaluate("cluster.node").stdout)
  end)
end)
