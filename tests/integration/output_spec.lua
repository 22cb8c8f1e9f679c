--- What applications write: bad writers, rotation, a full disk, and what an operator sees of it.
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")
local Agent = require("tests.lib.agent")

local MB = 1000 * 1000

describe("output", function()
  local test, alpha

  setup(function()
    test = harness.open()
    alpha = test:agent("alpha", {config = {Applications = {}}}):start()
  end)

  teardown(function() test:close() end)

  local function run_only(...)
    alpha:configure{Applications = {...}}
    alpha.process:kill("sighup")
  end

  local function log_path(name) return ("%s/log/%s.log"):format(alpha.state_dir, name) end

  local function size_of(path)
    local stat = uv.fs_stat(path)
    return stat and stat.size or 0
  end

  local function all_files(name)
    local list = {log_path(name)}
    while uv.fs_stat(log_path(name) .. "." .. #list) do list[#list + 1] = log_path(name) .. "." .. #list end
    return list
  end

  local function wait_for_state(name, state)
    return loop.wait_for(name .. " is " .. state, 20000, function()
      local result = alpha:cli("app", "show", name)
      return result.stdout:find("state +" .. state) and result.stdout, result.stdout .. result.stderr
    end)
  end

  it("of 100 MB in one line is cut where a file would be too large, and holds nobody up", function()
    local command = ("sh -c 'head -c %d /dev/zero | tr \"\\\\0\" x; echo; echo done; exec %s'"):format(100 * MB,
      test:sleeper("giant"))
    run_only({name = "giant", command = command, output = {max_mb = 5, files = 3}})
    test:wait_for_sleepers("giant", 1, 60000)
    loop.wait_for("the last line is there", 10000, function()
      return alpha:cli("app", "logs", "-n", "1", "giant").stdout == "done\n"
    end)
    local files, total = all_files("giant"), 0
    assert.equal(3, #files)
    for _, path in ipairs(files) do
      assert.is_true(size_of(path) <= 11 * 1024 * 1024)
      total = total + size_of(path)
    end
    assert.is_true(total > 5 * MB)
    assert.equal("running", alpha:json("app", "show", "giant").state)
    assert.equal(0, #alpha:json("status").problems)
  end)

  it("of 10,000 lines a second is all there, and commands are answered meanwhile", function()
    run_only({name = "fast", command = Agent.build_dir .. "/tests/writer 10000", output = {max_mb = 1, files = 50}})
    local pid = loop.wait_for("it runs", 20000, function() return (alpha:app("fast") or {}).pid end)
    loop.wait_for("25,000 lines are written", 30000, function()
      local row = alpha:cli("app", "ls")
      assert.equal(0, row.code)
      return #all_files("fast") > 1 and size_of(log_path("fast")) > 500000
    end)
    uv.kill(pid, "sigstop")
    loop.wait_for("all of it is read", 10000, function()
      local before = size_of(log_path("fast"))
      loop.pass(1000)
      return size_of(log_path("fast")) == before
    end)
    local files, expected = all_files("fast"), 0
    for index = #files, 1, -1 do
      for line in process.slurp(files[index]):gmatch("(%d+) the quick[^\n]*\n") do
        if tonumber(line) ~= expected then error(("line %d follows %d"):format(tonumber(line), expected - 1)) end
        expected = expected + 1
      end
    end
    assert.is_true(expected >= 20000)
    local result = alpha:cli("app", "logs", "--since", "1h", "fast")
    local first, count = result.stdout:match("^%d+"), select(2, result.stdout:gsub("\n", ""))
    assert.equal("000000000000", first)
    assert.equal(expected, count)
  end)

  it("that an application closes is silence, and nothing else", function()
    run_only({name = "mute", command = "sh -c 'exec >&- 2>&-; exec " .. test:sleeper("mute") .. "'"})
    test:wait_for_sleepers("mute", 1)
    wait_for_state("mute", "running")
    assert.matches('application "mute" has written nothing yet', alpha:cli("app", "logs", "mute").stderr)
    assert.equal(0, #alpha:json("status").problems)
  end)

  it("is shown from a moment on", function()
    run_only({name = "slow", command = ("sh -c 'echo early; sleep 10; echo late; exec %s'"):format(test:sleeper("slow"))})
    test:wait_for_sleepers("slow", 1, 20000)
    loop.wait_for("both lines are there", 10000, function()
      return alpha:cli("app", "logs", "slow").stdout == "early\nlate\n"
    end)
    assert.equal("early\nlate\n", alpha:cli("app", "logs", "--since", "1h", "slow").stdout)
    assert.equal("late\n", alpha:cli("app", "logs", "--since", "7s", "slow").stdout)
    assert.equal("early\nlate\n", alpha:cli("app", "logs", "--since", os.date("%Y-%m-%d"), "slow").stdout)
  end)

  describe("on a full disk", function()
    local beta, mounted

    setup(function()
      beta = test:agent("beta", {config = {Applications = {}}})
      local log_dir = beta.state_dir .. "/log"
      assert(uv.fs_mkdir(beta.state_dir, 448))
      assert(uv.fs_mkdir(log_dir, 448))
      mounted = process.run({"mount", "-t", "tmpfs", "-o", "size=1m", "none", log_dir}).code == 0
      beta.ballast = log_dir .. "/ballast"
    end)

    teardown(function()
      if not mounted then return end
      beta:destroy()
      process.run({"umount", "-l", beta.state_dir .. "/log"})
    end)

    local function fill()
      process.run({"sh", "-c", ("head -c 900000 /dev/zero > %s"):format(beta.ballast)})
    end

    local function wait_for_problem(pattern)
      return loop.wait_for("status says " .. pattern, 20000, function()
        local text = beta:cli("status").stdout
        return text:find(pattern) and text, text
      end)
    end

    local function wait_for_none()
      loop.wait_for("status has no problem", 20000, function()
        local problems = beta:json("status").problems
        return #problems == 0, #problems > 0 and problems[1].text
      end)
    end

    it("is dropped and counted, or waited for, as the application says", function()
      if not mounted then return pending("this needs the right to mount a small tmpfs") end
      fill()
      local writer = Agent.build_dir .. "/tests/writer 2000"
      beta:configure{Applications = {{name = "drops", command = writer, output = {max_mb = 100}}}}
      beta:start()
      wait_for_problem('application "drops": its output is dropped: .*drops.log: No space left on device; at least %d+ %a+ so far')
      assert.matches("output_problem +its output is dropped", beta:cli("app", "show", "drops").stdout)
      assert.equal("running", beta:json("app", "show", "drops").state)
      assert(os.remove(beta.ballast))
      wait_for_none()
      assert.matches("%[appmgr: %d+ bytes of output were dropped here: No space left on device%]",
        process.slurp(beta.state_dir .. "/log/drops.log"))

      beta:configure{Applications = {}}
      beta.process:kill("sighup")
      loop.wait_for("drops is gone", 10000, function() return beta:cli("app", "show", "drops").code == 1 end)
      os.remove(beta.state_dir .. "/log/drops.log")
      fill()
      beta:configure{Applications = {{name = "waits", command = writer, output = {max_mb = 100, on_full_disk = "block"}}}}
      beta.process:kill("sighup")
      wait_for_problem('application "waits": its output waits: .*waits.log: No space left on device')
      local pid = beta:json("app", "show", "waits").pid
      assert(os.remove(beta.ballast))
      wait_for_none()
      uv.kill(pid, "sigkill")
      loop.wait_for("it is started again", 10000, function() return beta:json("app", "show", "waits").restarts >= 1 end)
      local text, expected = process.slurp(beta.state_dir .. "/log/waits.log"), 0
      for line in text:gmatch("(%d+) the quick[^\n]*\n") do
        if tonumber(line) == 0 and expected > 0 then break end -- the next run
        assert.equal(expected, tonumber(line))
        expected = expected + 1
      end
      assert.is_true(expected > 1000)
    end)
  end)
end)
