--- An installed copy finds its Lua files and policies, and runs far from the source tree.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local harness = require("tests.lib.harness")
local process = require("tests.lib.process")

describe("an installation", function()
  local test

  setup(function() test = harness.open() end)
  teardown(function() test:close() end)

  it("runs without the source and build folders", function()
    local built = Agent.build_dir
    local result = process.run({"cmake", "--install", built, "--prefix", test.dir .. "/usr"}, {timeout_ms = 60000})
    assert.equal(0, result.code, result.stderr)
    local consul = test:start_consul()
    Agent.build_dir = test.dir .. "/usr/bin"
    finally(function() Agent.build_dir = built end)
    -- Nothing of the source tree is found by way of the current folder.
    local answer = process.run({Agent.binary(), "--version"}, {cwd = "/"})
    assert.equal(0, answer.code, answer.stderr)
    local alpha = test:join("alpha", consul)
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1)
    assert.equal(0, alpha:cli("tasks").code)
    assert.truthy(uv.fs_stat(test.dir .. "/usr/share/appmgr/policies/spread.lua"))
    local unit = process.slurp(test.dir .. "/usr/lib/systemd/system/appmgr.service")
    assert.truthy(unit:find("ExecStart=" .. Agent.binary() .. " agent", 1, true))
    local opened = process.run{"grep", "-c", uv.cwd(), ("/proc/%d/maps"):format(alpha.process.pid)}
    assert.equal("0\n", opened.stdout)
  end)
end)
