--- The demo in its two halves: a cluster that is kept, looked at, and ended later. (ctest runs it in one piece, too.)
local uv = require("luv")
local Agent = require("tests.lib.agent")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local DEMO_DEADLINE_MS = 120000

describe("the demo", function()
  local test, home, temporary

  -- Where programs leave files that nobody told them where to put.
  local function run_demo(...)
    return process.run({"scripts/demo.sh", ...}, {
      env = {
        TMPDIR = temporary, HOME = home, XDG_RUNTIME_DIR = home, CONSUL = require("tests.lib.consul").binary(),
        APPMGR_BUILD = uv.fs_realpath(Agent.build_dir),
      },
      timeout_ms = DEMO_DEADLINE_MS,
    })
  end

  local function files_in(folder)
    return process.run{"find", folder, "-mindepth", "1"}.stdout
  end

  setup(function()
    test = harness.open()
    home, temporary = test.dir .. "/home", test.dir .. "/tmp"
    assert(uv.fs_mkdir(home, 448))
    assert(uv.fs_mkdir(temporary, 448))
  end)

  -- Processes of a demo: its agents and keepers by their folder, its Consul by its pid file.
  local function processes()
    local pids = process.find(temporary .. "/")
    for path in files_in(temporary):gmatch("[^\n]+/consul/pid") do
      local pid = tonumber(process.slurp(path))
      pids[#pids + 1] = process.look(pid) and pid
    end
    return pids
  end

  teardown(function()
    -- What a demo that failed half-way has left.
    loop.wait_for("nothing of the demo runs", 10000, function()
      local left = processes()
      for _, pid in ipairs(left) do
        uv.kill(pid, "sigkill")
      end
      return #left == 0
    end)
    test:close()
  end)

  it("--keep leaves a cluster that works, all of it in one folder", function()
    local kept = run_demo("--keep")
    assert.equal(0, kept.code, kept.stdout .. kept.stderr)
    local folder = assert(kept.stdout:match("%-%-stop (%S+)"), kept.stdout)
    assert.equal(folder, files_in(temporary):match("^(%S+)\n"))
    assert.equal("", files_in(home))
    local env = {APPMGR_SOCKET = assert(kept.stdout:match("APPMGR_SOCKET=(%S+)"))}
    local nodes = process.run({Agent.binary(), "nodes"}, {env = env})
    assert.equal(0, nodes.code, nodes.stderr)
    for _, node in ipairs{"alpha", "beta", "gamma"} do
      assert.truthy(nodes.stdout:find("\n" .. node, 1, true), nodes.stdout)
    end
  end)

  it("--stop ends that cluster, and nothing is left of it", function()
    local folder = assert(files_in(temporary):match("^(%S+)\n"))
    local ran = processes()
    assert.is_true(#ran >= 7, "three agents, their keepers, Consul")
    local stopped = run_demo("--stop", folder)
    assert.equal(0, stopped.code, stopped.stdout .. stopped.stderr)
    for _, pid in ipairs(ran) do
      assert.is_nil(process.look(pid), pid)
    end
    assert.same({}, process.find(temporary .. "/"))
    assert.equal("", files_in(temporary))
    assert.equal("", files_in(home))
  end)

  it("--stop touches nothing that is no demo's folder", function()
    local refused = run_demo("--stop", home)
    assert.equal(1, refused.code)
    assert.truthy(refused.stderr:find("holds no cluster of this demo", 1, true), refused.stderr)
    assert.truthy(uv.fs_stat(home))
  end)
end)
