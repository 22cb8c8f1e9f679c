--- Tasks that must never run twice (`on_disconnect`): whatever becomes of the agent, the keeper stops them in time, and
-- nobody else runs them before that. The application itself says so: it holds a lock as long as any process of it lives.
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

-- A lock that is taken is told; each start is noted with its node and fence. The lock's descriptor goes on to `sleep`.
local SINGLETON = [[#!/bin/bash
exec 9>"$1/lock"
flock -n 9 || echo "$APPMGR_NODE" >> "$1/twice"
echo "$APPMGR_NODE $APPMGR_FENCE" >> "$1/starts"
exec sleep 100000
]]

-- Longer than a busy machine takes to start an agent again, and over before the session (10 s) can end, which is after 20 s.
local SINGLE_S <const> = 9

describe("a task that stops without Consul", function()
  local test, consul, proxy, alpha, dir

  local function read(name, task)
    local file = io.open(("%s/%s/%s"):format(dir, task or "single", name))
    local text = file and file:read("a") or ""
    if file then file:close() end
    return text
  end

  local function starts(task)
    local list = {}
    for node, fence in read("starts", task):gmatch("(%S+) (%d+)\n") do list[#list + 1] = {node = node, fence = tonumber(fence)} end
    return list
  end

  local function row(agent, task)
    return (agent:app(task or "single"))
  end

  local function pid_on(agent, task)
    local app = row(agent, task)
    return app and app.state == "running" and app.pid
  end

  local function wait_for_start(count, deadline_ms, task)
    return loop.wait_for(("start %d"):format(count), deadline_ms or 10000, function()
      local list = starts(task)
      return #list >= count and list[count], read("starts", task)
    end)
  end

  --- A task of which at most one may ever run.
  local function apply(task, seconds, fields)
    local document = {content = {command = {dir .. "/singleton", dir .. "/" .. task}, stop_timeout = 2},
      on_disconnect = {stop_after_seconds = seconds}}
    for key, value in pairs(fields or {}) do document[key] = value end
    consul:put("task/" .. task, document)
  end

  local function is_alive(pid)
    return process.look(pid) ~= nil
  end

  --- Fails when it ever ran twice, or with a fence that did not grow from node to node.
  local function expect_once(task)
    assert.equal("", read("twice", task))
    local list = starts(task)
    for i = 2, #list do
      local grew = list[i].fence > list[i - 1].fence or list[i].node == list[i - 1].node and list[i].fence == list[i - 1].fence
      assert.is_true(grew, read("starts", task))
    end
  end

  setup(function()
    test = harness.open()
    dir = test.dir
    process.spit(dir .. "/singleton", SINGLETON)
    uv.fs_chmod(dir .. "/singleton", 493)
    consul = test:start_consul()
    proxy = test:start_proxy(consul)
    -- Never the leader: its node is the one that is cut off.
    alpha = test:join("alpha", consul, {consul_settings = {url = proxy.url, candidate = false},
      config = {Labels = {home = "yes"}}})
    test:join("beta", consul)
    for task, seconds in pairs{single = SINGLE_S, long = 25} do
      uv.fs_mkdir(dir .. "/" .. task, 448)
      apply(task, seconds, {condition = {home = "yes"}})
      assert.equal("alpha", wait_for_start(1, 20000, task).node)
      -- It stays there, and could go elsewhere.
      apply(task, seconds)
    end
  end)

  teardown(function() test:close() end)

  it("goes on when the agent is restarted in time, with the fence it has", function()
    local pid, before = pid_on(alpha), starts()[1].fence
    alpha:stop("sigkill")
    alpha:start()
    loop.hold("it runs on", 1000 * SINGLE_S + 3000, function() return is_alive(pid) end)
    assert.equal(1, #starts())
    assert.equal(pid, pid_on(alpha))
    uv.kill(pid, "sigkill")
    assert.same({node = "alpha", fence = before}, wait_for_start(2))
  end)

  it("is stopped where the agent hangs, and runs elsewhere only when its time is over", function()
    local pid, long_pid = pid_on(alpha), pid_on(alpha, "long")
    local hung_ms = loop.now_ms()
    alpha.process:kill("sigstop")
    loop.wait_for("the keeper stops it", 12000, function() return not is_alive(pid) end)
    assert.is_not_nil(consul:entry("live/alpha"), "the session has not ended yet")
    assert.equal(2, #starts())
    assert.is_true(is_alive(long_pid))
    loop.wait_for("the keeper stops the other one", 32000, function() return not is_alive(long_pid) end)
    assert.is_true(loop.now_ms() - hung_ms >= 15000, "it was stopped too early")
    assert.equal("beta", wait_for_start(3, 30000).node)
    assert.equal("beta", wait_for_start(2, 60000, "long").node)
    alpha.process:kill("sigcont")
    loop.wait_for("alpha has heard of it", 20000, function() return not pid_on(alpha) and not pid_on(alpha, "long") end)
    loop.hold("they stay where they are", 6000, function()
      return #starts() == 3 and #starts("long") == 2 and not pid_on(alpha) and not pid_on(alpha, "long")
    end)
    expect_once()
    expect_once("long")
  end)

  it("is stopped where Consul cannot be reached, says so, and starts again there when it can", function()
    apply("single", SINGLE_S, {condition = {home = "yes"}})
    local started = wait_for_start(4, 20000)
    assert.equal("alpha", started.node)
    local pid = loop.wait_for("it is shown", 5000, function() return pid_on(alpha) end)
    proxy:lie(".", "cut")
    proxy:cut_all()
    local cut_ms = loop.now_ms()
    loop.wait_for("it is stopped", 12000, function() return not is_alive(pid) end)
    assert.is_true(loop.now_ms() - cut_ms < 2000 * SINGLE_S)
    local app = loop.wait_for("that is shown", 5000, function()
      local app = row(alpha)
      return app and app.state == "blocked" and app
    end)
    assert.truthy(app.error:find(("Consul could not be reached for %d s (on_disconnect)"):format(SINGLE_S), 1, true), app.error)
    alpha:wait_for_log("replicas with on_disconnect are stopped")
    proxy:be_honest()
    assert.same(started, wait_for_start(5))
    expect_once()
  end)

  it("goes on through an outage that is shorter than its time", function()
    local pid = loop.wait_for("it is shown", 5000, function() return pid_on(alpha) end)
    proxy:lie(".", "cut")
    proxy:cut_all()
    loop.pass(2500)
    proxy:be_honest()
    loop.hold("it runs on", 1000 * SINGLE_S + 3000, function() return is_alive(pid) end)
    assert.equal(5, #starts())
  end)

  it("is not started by an agent that was given it while it hung, and that wakes up when another has it", function()
    uv.fs_mkdir(dir .. "/late", 448)
    alpha.process:kill("sigstop")
    local document = {content = {command = {dir .. "/singleton", dir .. "/late"}}, condition = {home = "yes"}}
    consul:put("task/late", document)
    loop.wait_for("alpha is given it", 10000, function()
      return (consul:get("assignment/alpha") or ""):find("late", 1, true)
    end)
    document.condition = nil
    consul:put("task/late", document)
    assert.equal("beta", wait_for_start(1, 60000, "late").node)
    alpha.process:kill("sigcont")
    alpha:wait_joined()
    loop.hold("nobody starts it again", 5000, function() return #starts("late") == 1 end)
    consul:delete("task/late")
    loop.wait_for("single is back where it was", 20000, function() return pid_on(alpha) end)
  end)

  it("is stopped by the keeper where no agent is left", function()
    local pid = pid_on(alpha)
    local before = #starts()
    alpha:stop("sigkill")
    loop.wait_for("the keeper stops it", 12000, function() return not is_alive(pid) end)
    alpha:start()
    assert.equal("alpha", wait_for_start(before + 1, 20000).node)
    expect_once()
  end)
end)
