require("spec.support.core")
local fake_request = require("spec.support.fake_request")
local fake_timer = require("spec.support.fake_timer")
local repl = require("appmgr.control.repl")

local sandbox = require("core.sandbox")

local AGENT = {
  node = "alpha",
  config = { Consul = { token = "secret", prefix = "appmgr" } },
  apps = { list = function() return { { name = "web", state = "running" } } end },
  problems = { list = function() return {} end },
}

local function new_shell(agent)
  local timer, session = fake_timer.new(), {}
  local handlers = repl.new({ sandbox = sandbox, timer = timer })
  local shell = { timer = timer }
  function shell.start(code, more)
    local request = fake_request.new({ code = code, more = more }, session)
    handlers.evaluate(agent or AGENT, request)
    return request
  end
  function shell.eval(code, more)
    local request = shell.start(code, more)
    for _ = 1, 5000 do
      if request.closed then break end
      timer.advance(1)
    end
    return request.result, request
  end
  function shell.complete(text)
    local request = fake_request.new({ text = text }, session)
    handlers.complete(agent or AGENT, request)
    return request.result
  end
  return shell
end

local function printed(request)
  local parts = {}
  for i, event in ipairs(request.events) do parts[i] = event.print end
  return table.concat(parts, "\n")
end

describe("repl.eval", function()
  it("takes an expression first, then a statement", function()
    local shell = new_shell()
    assert.same({ "3" }, shell.eval("1 + 2").values)
    assert.same({}, shell.eval("x = 5").values)
    assert.same({ "5", '"a"', "nil" }, shell.eval("x, 'a', nil").values)
    assert.same({}, shell.eval("").values)
    assert.same({ "ok" }, { shell.eval("local y = 1").outcome })
  end)

  it("keeps the last value in _ and names from line to line", function()
    local shell = new_shell()
    shell.eval("21, 7")
    assert.same({ "42" }, shell.eval("_ * 2").values)
    shell.eval("function twice(x) return 2 * x end")
    assert.same({ "84" }, shell.eval("twice(_)").values)
  end)

  it("gives every connection an environment of its own, and none of the agent's", function()
    local shell, other = new_shell(), new_shell()
    shell.eval("x = 1; string.format = nil; table.concat = nil")
    assert.same({ "nil" }, other.eval("x").values)
    assert.is_function(string.format)
    assert.same({ '"7"' }, other.eval("string.format('%d', 7)").values)
    for _, name in ipairs({ "io", "os.execute", "require", "package", "debug", "load", "loadfile", "dofile",
        "collectgarbage", "string.dump" }) do
      assert.same({ "nil" }, shell.eval(name).values, name)
    end
    assert.same({ "true" }, shell.eval("_G.x == 1").values)
  end)

  it("shows the cluster, the applications and the configuration without secrets", function()
    local shell = new_shell()
    assert.truthy(shell.eval("cluster").values[1]:find('node = "alpha"', 1, true))
    assert.same({ '"running"' }, shell.eval("apps.web.state").values)
    assert.same({ '"(hidden)"' }, shell.eval("config.Consul.token").values)
    shell.eval("config.Consul.token = 'x'")
    assert.equal("secret", AGENT.config.Consul.token)
  end)

  it("reports errors with a traceback", function()
    local shell = new_shell()
    local result = shell.eval("error('oh')")
    assert.equal("error", result.outcome)
    assert.equal("repl:1: oh", result.message)
    assert.truthy(result.traceback:find("repl:1", 1, true))
    assert.is_nil(result.traceback:find("appmgr/control", 1, true))
    assert.equal("error", shell.eval("nil .. 1").outcome)
    assert.equal("error", shell.eval("error({})").outcome)
  end)

  it("asks for more only when the client can give it, and only at the end", function()
    local shell = new_shell()
    assert.equal("incomplete", shell.eval("for i = 1, 3 do", true).outcome)
    assert.equal("incomplete", shell.eval("x = {", true).outcome)
    assert.equal("error", shell.eval("for i = 1, 3 do").outcome)
    assert.equal("error", shell.eval("x = = 1", true).outcome)
    local request = select(2, shell.eval("for i = 1, 3 do\nprint(i) end", true))
    assert.equal("1\n2\n3", printed(request))
  end)

  it("sends what is printed to its client, up to a limit", function()
    local shell = new_shell()
    local result, request = shell.eval("print('a', 1, nil)")
    assert.equal("a\t1\tnil", printed(request))
    assert.same({}, result.values)
    result, request = shell.eval("for i = 1, 200 do print(('x'):rep(10000)) end")
    assert.equal("ok", result.outcome)
    assert.truthy(#printed(request) < 1100000)
    assert.truthy(printed(request):find("output cut after 1024 KiB", 1, true))
    request = select(2, shell.eval("help()"))
    assert.truthy(printed(request):find("cluster", 1, true))
    request = select(2, shell.eval("dump({a={b={c={d={}}}}}, 2)"))
    assert.equal("{ a = { b = {…} } }", printed(request))
  end)

  it("says when a value was cut", function()
    local shell = new_shell()
    assert.is_true(shell.eval("{a={b={c={d={e=1}}}}}").cut)
    assert.is_nil(shell.eval("{}").cut)
  end)

  it("ends an endless loop after two seconds, also inside pcall", function()
    local shell = new_shell()
    for _, code in ipairs({ "while true do end", "while true do pcall(function() while true do end end) end" }) do
      local result = shell.eval(code)
      assert.equal("timeout", result.outcome)
      assert.equal("ended: it ran for more than 2 s", result.message)
    end
    assert.same({ "1" }, shell.eval("1").values)
  end)

  it("lets the loop work between slices, and takes no second line meanwhile", function()
    local shell = new_shell()
    local request = shell.start("while true do end")
    assert.is_false(request.closed)
    assert.equal("busy", shell.start("1").code)
    request.disconnect()
    assert.same({ "1" }, shell.eval("1").values)
  end)

  it("ends what could run for ever inside C: patterns, repetition of nothing, endless moves", function()
    for _, code in ipairs({
      "string.find(('a'):rep(100000), ('a*'):rep(40) .. 'b')",
      "('a'):rep(100000):match(('a*'):rep(40) .. 'b')",
      "(''):rep(1 << 60)",
      "table.move({}, 1, 1 << 60, 2)",
    }) do
      local result = new_shell().eval(code)
      assert.truthy(result and (result.outcome ~= "ok" or result.values[1] == '""'), code)
    end
    assert.equal(string, debug.getmetatable("").__index)
  end)

  it("bounds memory", function()
    assert.equal("no_memory", new_shell().eval("local t, x = {}, ('x'):rep(1e6) for i = 1, 1e9 do t[i] = x .. i end").outcome)
    assert.equal("no_memory", new_shell().eval("('x'):rep(1e9)").outcome)
  end)

  it("prints values whose metamethods misbehave", function()
    local shell = new_shell()
    assert.same({ "{ 1 }" }, shell.eval("setmetatable({1}, {__tostring=error, __pairs=error, __index=error})").values)
  end)

  it("says which node answers and whether it leads", function()
    assert.same({ node = "alpha", leader = false }, new_shell().eval("1").prompt)
    local leading = setmetatable({ election = { leader = function() return "alpha" end } }, { __index = AGENT })
    assert.same({ node = "alpha", leader = true }, new_shell(leading).eval("1").prompt)
  end)

  it("refuses what is no code", function()
    assert.equal("bad_request", new_shell().start(nil).code)
    assert.equal("bad_request", new_shell().start(("x"):rep(300000)).code)
  end)
end)

describe("repl.complete", function()
  it("offers names, members and views", function()
    local shell = new_shell()
    assert.same({ from = 1, words = { "cluster", "config", "coroutine" } }, shell.complete("c"))
    assert.same({ from = 14, words = { "format" } }, shell.complete("print(string.fo"))
    assert.same({ from = 6, words = { "web" } }, shell.complete("apps.w"))
    shell.eval("thing = { alpha = 1, ['a b'] = 2 }")
    assert.same({ from = 7, words = { "alpha" } }, shell.complete("thing."))
    assert.same({ from = 6, words = {} }, shell.complete("nope.x"))
    assert.same({ from = 7, words = { "web" } }, shell.complete('apps["'))
    assert.same({ from = 8, words = { "a b" } }, shell.complete("thing['a "))
    assert.same({ from = 7, words = {} }, shell.complete('nope["c'))
  end)

  it("never shows a value", function()
    local words = new_shell().complete("config.Consul.").words
    assert.same({ "prefix", "token" }, words)
  end)
end)

describe("a sandbox's job", function()
  --- Uses most kinds of instructions, so that a pause in the wrong place would show.
  local function work(rounds)
    local sum, list = 0, {}
    local object = setmetatable({}, {
      __index = function(_, key) return key * 2 end,
      __concat = function() return "c" end,
    })
    local function count(...) return select("#", ...) + (...) end
    for i = 1, rounds do
      list[i % 100 + 1] = i
      sum = sum + object[i] % 7 + count(i, i) + #("x" .. i .. (object .. "y"))
      if i % 1000 == 0 then
        local _, err = pcall(error, { i })
        table.sort(list)
        for key, value in pairs(list) do sum = sum + key * value end
        local wrapped = coroutine.wrap(function(a) while true do a = a + coroutine.yield(a) end end)
        for j = 1, 20 do sum = sum + wrapped(j) + err[1] end
      end
    end
    return sum, "done"
  end

  it("comes to the same result in many slices as in one piece", function()
    local job, results = sandbox.start(work, {}, 100000), {}
    repeat
      results[#results + 1] = table.pack(job:step(1))
      if #results % 10 == 0 then collectgarbage() end
    until results[#results][1]
    assert.is_true(#results > 10)
    local sum, word = work(100000)
    assert.same({ "ok", sum, word, n = 3 }, results[#results])
    assert.has_error(function() job:step(1) end, "this job has ended")
  end)

  it("that is given up is collected", function()
    for _ = 1, 100 do sandbox.start(function() while true do end end, {}):step(1) end
    collectgarbage()
    assert.equal("ok", (sandbox.call(function() end, {})))
  end)
end)
