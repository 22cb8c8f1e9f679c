--- What a node's configuration allows to tasks (`Tasks`): the leader sees it, and the keeper holds it.
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

describe("a node that limits tasks", function()
  local test, consul, proxy, alpha

  local function row(name)
    for _, app in ipairs(alpha:json("app", "ls")) do
      if app.name == name then return app end
    end
  end

  local function wait_for_reason(task, text)
    loop.wait_for(("%s is pending: %s"):format(task, text), 10000, function()
      local out = alpha:cli("tasks").stdout
      return out:find(text, 1, true), out
    end)
  end

  local function configure(tasks)
    alpha.config.Tasks = tasks
    alpha:configure()
    alpha:wait_for_more_log("configuration read again", function() alpha.process:kill("sighup") end)
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    proxy = test:start_proxy(consul)
    alpha = test:join("alpha", consul, {consul_settings = {url = proxy.url}, config = {
      Tasks = {users = {"root", "nobody"}, commands = {"/usr/bin/sleep", "/bin/sleep"}},
      Applications = {{name = "own", command = "while :; do " .. test:sleeper("own") .. "; done", user = "daemon"}},
    }})
  end)

  teardown(function() test:close() end)

  it("runs its own applications, and the tasks that it allows", function()
    test:wait_for_sleepers("own", 1)
    consul:put("task/allowed", {content = {command = test:sleeper("allowed"), restart = {delay_seconds = 0.1,
      max_delay_seconds = 0.1}}})
    test:wait_for_sleepers("allowed", 1)
    loop.wait_for("it runs from the path that was compared", 5000, function() return (row("allowed") or {}).state == "running" end)
  end)

  it("is given no other, and the reason is shown", function()
    consul:put("task/shell", {content = {command = "sleep 1; sleep 2"}})
    wait_for_reason("shell", "1 of 1 nodes: not allowed there: command /bin/sh")
    consul:put("task/user", {content = {command = "sleep 100", user = "daemon"}})
    wait_for_reason("user", "1 of 1 nodes: not allowed there: user daemon")
    assert.is_nil(row("shell") or row("user"))
  end)

  it("holds new limits also when nobody can be asked", function()
    proxy:lie(".", "cut")
    proxy:cut_all()
    configure({users = {"nobody"}})
    local pid = row("allowed").pid
    assert.is_not_nil(pid)
    require("luv").kill(pid, "sigkill")
    loop.wait_for("the keeper refuses it", 5000, function()
      local app = row("allowed")
      return app.state == "backoff" and app.error == "EPERM: not allowed to tasks here: user of the agent (Tasks.users)", app.error
    end)
    configure({users = {"root"}})
    test:wait_for_sleepers("allowed", 1)
    proxy:be_honest()
  end)

  it("takes none where they are not enabled, and gives up what it has", function()
    configure({enabled = false})
    test:wait_for_sleepers("allowed", 0, 20000)
    wait_for_reason("allowed", "1 of 1 nodes: take no tasks (Tasks.enabled is false there)")
    test:wait_for_sleepers("own", 1)
    configure(nil)
    test:wait_for_sleepers("allowed", 1, 20000)
    assert.is_nil(io.open(alpha.state_dir .. "/permit"))
  end)
end)
