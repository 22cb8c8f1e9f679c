--- What a policy can do to the commands that try it: nothing. Each of them ends by itself, and says how it went.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local Agent = require("tests.lib.agent")
local process = require("tests.lib.process")

-- What `score` does; `load` is what the text does when it is loaded, where that is something else.
local PATTERN <const> = "local n = (('a'):rep(30000)):find(('a*'):rep(30) .. 'b')"
local REP <const> = "local s = 'x' while true do s = s:rep(1000) end"

local ENDS = {
  { name = "an endless loop", score = "while true do end", word = "timeout" },
  { name = "an endless loop in nested calls", score = "local function f() while true do end end ('x'):gsub('x', f)", word = "timeout" },
  { name = "a memory bomb", score = "local t = {} while true do t[#t + 1] = ('x'):rep(20000000) .. #t end", word = "no_memory" },
  { name = "a string.rep bomb", score = REP, word = "no_memory" },
  { name = "deep recursion", score = "local function f(n) return 1 + f(n + 1) end return f(1)", word = "error" },
  { name = "a pattern that backtracks for ever", score = PATTERN, word = "timeout", kills = true },
  { name = "a score that is NaN", score = "return 0/0", word = "bad_result" },
  { name = "writing to what it was given", score = "node.name = 'x' return 0", word = "error" },
  { name = "a result with a metatable", score = "return task.resources", word = "bad_result" },
  { name = "one task only", score = "if task.name:find('^t0*3$') then error('not this one') end return 0", word = "error", task = true },
  { name = "one task only, for ever", score = "if task.name:find('^t0*3$') then " .. PATTERN .. " end return 0", word = "timeout",
    task = true, kills = true },
}

-- What of it the text can do itself, on its first line.
local LOADS = {
  { name = "an endless loop", text = "while true do end", word = "timeout" },
  { name = "an endless loop in pcall", text = "while true do pcall(function() while true do end end) end", word = "pcall" },
  { name = "a memory bomb", text = "local t = {} while true do t[#t + 1] = ('x'):rep(20000000) .. #t end", word = "no_memory" },
  { name = "a string.rep bomb", text = REP, word = "no_memory" },
  { name = "deep recursion", text = "local function f(n) return 1 + f(n + 1) end f(1)", word = "stack overflow" },
  { name = "a pattern that backtracks for ever", text = PATTERN, word = "timeout: it did not come to an end", kills = true },
}

describe("trying a policy", function()
  local test

  setup(function() test = harness.open() end)
  teardown(function() test:close() end)

  local function write(text)
    local path = test.dir .. "/policy.lua"
    process.spit(path, text)
    return path
  end

  local function policy(score)
    return write(("return { api = 1, name = 'bad', score = function(task, node) %s end }"):format(score))
  end

  local function run(...)
    return process.run({ Agent.binary(), "policy", ... }, { timeout_ms = 120000, env = { ASAN_OPTIONS = "detect_leaks=0" } })
  end

  local function has(text, part)
    assert.truthy(text:find(part, 1, true), ("%q lacks %q"):format(text, part))
  end

  for _, bad in ipairs(ENDS) do
    it("by policy test ends for " .. bad.name, function()
      local kept = test.dir .. "/kept.json"
      local result = run("test", policy(bad.score), "--timeout", bad.kills and "2" or "60", "--save", kept, "--json")
      assert.equal(1, result.code, result.stderr)
      local failure = json.decode(result.stdout).failure
      assert.equal("total", failure.property)
      assert.equal(bad.word, failure.outcome)
      if bad.task then has(failure.text, 'task "t3"') end
      assert.is_table(json.decode(process.slurp(kept)).tasks)
      if not bad.kills then return end
      -- What was kept fails again.
      local again = run("test", test.dir .. "/policy.lua", "--timeout", "2", "--case", kept, "--save", kept, "--json")
      assert.equal(bad.word, json.decode(again.stdout).failure.outcome)
    end)

    it("by policy simulate ends for " .. bad.name, function()
      -- Long where something else than the time is to end it: the limits on instructions and on time of the processor.
      local timeout_s = bad.kills and "3" or "60"
      local result = run("simulate", "--policy", policy(bad.score), "--nodes", "20", "--tasks", "9", "--timeout", timeout_s, "--json")
      assert.equal(1, result.code)
      local answer = json.decode(result.stdout)
      assert.equal(bad.word, answer.outcome)
      local text = bad.kills and answer.error or answer.failures[1].task .. answer.failures[1].text
      if bad.task then has(text, "t00003") end
      if bad.task and not bad.kills then assert.truthy(answer.placed > 50) end
    end)

    it("by policy check says nothing against " .. bad.name .. ", which only shows when it is asked", function()
      assert.equal(0, run("check", policy(bad.score)).code)
    end)
  end

  for _, bad in ipairs(LOADS) do
    it("ends for a text that is " .. bad.name, function()
      local path = write(bad.text .. "\nreturn { api = 1, name = 'bad', score = function() return 0 end }")
      local timeout_s = bad.kills and "2" or "60"
      local tries = {
        { "check", path }, { "test", path, "--timeout", timeout_s }, { "simulate", "--policy", path, "--timeout", timeout_s },
      }
      for _, words in ipairs(tries) do
        local result = run(table.unpack(words))
        assert.equal(1, result.code)
        has(result.stderr, bad.word)
      end
    end)
  end

  it("says what to do about one that had to be stopped", function()
    local result = run("test", policy(PATTERN), "--timeout", "2", "--save", test.dir .. "/kept.json")
    has(result.stderr, "when it was asked about task")
    has(result.stderr, "give it longer with --timeout")
    has(result.stderr, "the cluster, not made smaller, is in " .. test.dir .. "/kept.json")
  end)

  it("leaves memory that the whole process may have to an option", function()
    -- Not under AddressSanitizer, beside which no limit on memory can be set.
    if Agent.is_sanitized() then return end
    local result = run("simulate", "--nodes", "2000", "--tasks", "2000", "--replicas", "10", "--memory", "40")
    assert.equal(1, result.code)
    has(result.stderr, 'policy "spread": no_memory: it needs more than 40 MB')
    has(result.stderr, "give it more with --memory")
  end)

  it("is no way to a file", function()
    has(run("check", write("local f = io.open('/etc/passwd')")).stderr, 'there is no "io" for a policy')
  end)
end)
