--- What holds applications together, what they may use and what that is shown as; without any Consul.
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("what an application starts", function()
  local test, alpha, shared, level, applications

  local function app(name)
    return alpha:json("app", "show", name)
  end

  local function wait_for_app(name, what, condition, deadline_ms)
    return loop.wait_for(name .. " " .. what, deadline_ms or 15000, function()
      local seen, why = alpha:app(name)
      return seen and condition(seen) and seen, why or json.encode(seen)
    end)
  end

  --- A pid that a script wrote, once it has.
  local function pid_in(name)
    return loop.wait_for(name .. " is written", 10000, function()
      return tonumber((process.slurp(shared .. "/" .. name)):match("^(%d+)\n"))
    end)
  end

  local function is_alive(pid)
    local stat = process.slurp(("/proc/%d/stat"):format(pid))
    return stat ~= "" and not stat:find("%) [ZX] ")
  end

  setup(function()
    test = harness.open()
    uv.fs_chmod(test.dir, 493)
    shared = test.dir .. "/shared"
    uv.fs_mkdir(shared, 511)
    uv.fs_chmod(shared, 511)
    local daemon = "setsid env -i /bin/sh -c 'trap \"\" TERM HUP; echo $$ >" .. shared
      .. "/daemon; while :; do /bin/sleep 1; done' & exec " .. test:sleeper("main")
    applications = {
      {name = "daemon", command = daemon, stop_timeout = 0.2},
      {name = "limited", command = test:sleeper("limited"),
        resource_limit = {memory_mb = 64, memory_virt_mb = 4096, pids = 50, cpu_max_percent = 50, cpu_shares = 512}},
      {name = "busy", command = "while :; do :; done", nice = 19, resource_limit = {cpu_max_percent = 50}},
      {name = "bomb", user = "64998:64998", stop_timeout = 0, resource_limit = {pids = 25},
        command = "sh -c 'bomb() { bomb | bomb & }; bomb' & exec " .. test:sleeper("bomb")},
      {name = "capable", user = "nobody", capabilities = {"net_bind_service"},
        command = "grep CapEff /proc/self/status; exec " .. test:sleeper("capable")},
    }
    alpha = test:agent("alpha", {config = {Applications = applications}})
    alpha:start()
    level = loop.wait_for("the keeper says how it contains", 15000, function() return alpha:json("status").containment end)
  end)

  teardown(function() test:close() end)

  --- What a file of an application's cgroup says.
  local function in_cgroup(name, file)
    return process.slurp(("%s/app-%s/%s"):format(level.directory, app(name).id, file))
  end

  --- True when its cgroup keeps a limit; else the test is skipped, with the reason.
  local function need_limit(name, limit)
    local how = wait_for_app(name, "has limits", function(now) return now.limits_enforced end).limits_enforced[limit]
    if how == "cgroup" then return true end
    print(("skipped: %s is %s"):format(limit, how))
    pending("no such controller")
  end

  local function need_cgroups()
    if level.level == "cgroup" then return true end
    print("skipped: no cgroup may be made here: " .. level.reason)
    pending("no cgroup may be made here")
  end

  it("is contained, and everybody says how", function()
    assert.truthy(level.level == "cgroup" or level.level == "session" and level.reason ~= "")
    wait_for_app("limited", "runs", function(seen) return seen.state == "running" end)
    assert.equal(level.level, app("limited").containment)
    assert.truthy(alpha:cli("status").stdout:find("containment +" .. level.level))
  end)

  it("does not escape a stop as a daemon", function()
    if not need_cgroups() then return end
    local daemon = pid_in("daemon")
    assert.is_true(is_alive(daemon))
    assert.equal(0, alpha:cli("app", "disable", "daemon").code)
    wait_for_app("daemon", "is stopped", function(seen) return seen.state == "disabled" end)
    assert.is_false(is_alive(daemon))
  end)

  it("has limits, and what keeps them is shown", function()
    local seen = wait_for_app("limited", "runs", function(now) return now.limits_enforced end)
    assert.equal(64, seen.resource_limit.memory_mb)
    assert.equal("rlimit, of each process", seen.limits_enforced.memory_virt_mb)
    for _, name in ipairs({"memory_mb", "pids", "cpu_max_percent"}) do
      local how = seen.limits_enforced[name]
      assert.truthy(how == "cgroup" or how:find("^not enforced: "), how)
    end
    local text = alpha:cli("app", "show", "limited").stdout
    assert.truthy(text:find("memory_mb 64 MB (" .. seen.limits_enforced.memory_mb .. ")", 1, true), text)
    assert.truthy(process.slurp(("/proc/%d/limits"):format(seen.pid)):find("Max address space +4294967296 +4294967296"))
  end)

  it("has limits that stand in the kernel's files, and change there", function()
    if not need_limit("limited", "memory_mb") then return end
    local expected = {["memory.max"] = "67108864", ["memory.swap.max"] = "0", ["memory.oom.group"] = "1",
      ["pids.max"] = "50", ["cpu.max"] = "50000 100000", ["cpu.weight"] = "50"}
    for file, value in pairs(expected) do
      assert.equal(value .. "\n", in_cgroup("limited", file), file)
    end
    local pid = app("limited").pid
    applications[2].resource_limit = {memory_mb = 32, swap_mb = 8}
    alpha:configure({Applications = applications})
    alpha.process:kill("sighup")
    loop.wait_for("the limit is the new one", 15000, function() return in_cgroup("limited", "memory.max") == "33554432\n" end)
    assert.same({"8388608\n", "max\n", "max 100000\n", "100\n"}, {in_cgroup("limited", "memory.swap.max"),
      in_cgroup("limited", "pids.max"), in_cgroup("limited", "cpu.max"), in_cgroup("limited", "cpu.weight")})
    assert.equal(pid, app("limited").pid)
  end)

  it("gets no more of a processor than it may have", function()
    if not need_limit("busy", "cpu_max_percent") then return end
    loop.wait_for("it is throttled", 15000, function()
      return tonumber(in_cgroup("busy", "cpu.stat"):match("nr_throttled (%d+)")) > 0
    end)
  end)

  it("is killed at its memory limit, and that is said", function()
    if not need_limit("limited", "memory_mb") then return end
    -- All of it ends: the shell that waits has no memory worth taking.
    local eater = {name = "eater", command = "tail /dev/zero & wait; exec " .. test:sleeper("eater"), restart = {attempts = 0},
      resource_limit = {memory_mb = 16}}
    assert.equal(0, alpha:cli("app", "add", "-", {stdin = json.encode(eater)}).code)
    local seen = wait_for_app("eater", "is killed", function(now) return now.state == "failed" end)
    assert.equal("out of memory: killed by the kernel at its limit of 16 MB", seen.error)
    assert.truthy(alpha:cli("app", "exec-history", "eater").stdout:find("out of memory", 1, true))
  end)

  it("is a fork bomb, which is held", function()
    if uv.getuid() ~= 0 then
      print("skipped: only root can become another user")
      return pending("not root")
    end
    loop.wait_for("the bomb cannot fork", 15000, function()
      return alpha:cli("app", "logs", "bomb").stdout:find("[Cc]annot fork")
    end)
    local seen = app("bomb")
    assert.equal("running", seen.state)
    if seen.limits_enforced.pids == "cgroup" then
      assert.truthy(tonumber(in_cgroup("bomb", "pids.events"):match("max (%d+)")) > 0)
      assert.equal("25\n", in_cgroup("bomb", "pids.max"))
    end
    assert.truthy(alpha:cli("app", "show", "bomb").stdout:find("pids 25 (" .. seen.limits_enforced.pids .. ")", 1, true))
    assert.truthy(seen.limits_enforced.pids:find("^cgroup") or seen.limits_enforced.pids:find("^rlimit"))
    assert.equal(0, seen.restarts)
    assert.equal(0, alpha:cli("app", "disable", "bomb").code)
    wait_for_app("bomb", "is stopped", function(now) return now.state == "disabled" end)
  end)

  it("is measured as a whole", function()
    local seen = wait_for_app("busy", "is measured twice", function(now) return now.cpu end, 30000)
    assert.truthy(seen.memory > 0)
    assert.truthy(seen.cpu > 0)
    assert.truthy(alpha:cli("app", "ls").stdout:find("busy [^\n]+%%"))
  end)

  it("has the capabilities that it was given, and no others", function()
    if uv.getuid() ~= 0 then
      print("skipped: only root can become another user")
      return pending("not root")
    end
    loop.wait_for("it writes what it has", 10000, function()
      return alpha:cli("app", "logs", "capable").stdout:find("CapEff:\t0000000000000400", 1, true)
    end)
    assert.same({"net_bind_service"}, app("capable").capabilities)
  end)

  it("is gone when the node leaves, and so are its cgroups", function()
    assert.equal(0, alpha:cli("leave").code)
    loop.wait_for("the cgroups are gone", 10000, function()
      return not level.directory or uv.fs_stat(level.directory) == nil
    end)
  end)
end)
