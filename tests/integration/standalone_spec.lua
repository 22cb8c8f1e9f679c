--- Agents whose Consul is not there (yet), and the four ways an agent ends.
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("an agent whose Consul is down at start", function()
  local test, consul, alpha

  setup(function()
    test = harness.open()
    consul = test:start_consul{kind = "server", name = "server"}
    consul:stop()
    alpha = test:agent("alpha", {consul = consul, config = {Applications = {{name = "own", command = test:sleeper("own")}}}})
  end)

  teardown(function() test:close() end)

  it("starts its normal applications at once", function()
    alpha:start()
    test:wait_for_sleepers("own", 1)
    local out = alpha:cli("status").stdout
    assert.truthy(out:find("alpha", 1, true), out)
  end)

  it("joins when Consul comes up", function()
    local own = test:sleepers("own")
    consul:start_again()
    alpha:wait_joined(30000)
    consul:put("task/web", {content = {command = test:sleeper("web")}, replication = 1})
    test:wait_for_sleepers("web", 1, 15000)
    assert.same(own, test:sleepers("own"))
  end)

  it("keeps applications and session on SIGTERM, and resigns", function()
    local session, pids = consul:entry("live/alpha").session, {test:sleepers("own"), test:sleepers("web")}
    loop.wait_for("alpha leads", 15000, function() return consul:leader() == "alpha" end)
    alpha:stop("sigterm")
    assert.equal(0, alpha.process.code)
    assert.is_nil(consul:entry("leader").session, "the key is released, not deleted")
    assert.equal(session, consul:entry("live/alpha").session)
    assert.same(pids, {test:sleepers("own"), test:sleepers("web")})
    alpha:start():wait_joined()
    loop.wait_for("alpha leads", 15000, function() return consul:leader() == "alpha" end)
    assert.same(pids, {test:sleepers("own"), test:sleepers("web")})
  end)

  it("keeps everything on SIGKILL", function()
    local session, pids = consul:entry("live/alpha").session, {test:sleepers("own"), test:sleepers("web")}
    alpha:stop("sigkill")
    assert.equal(session, consul:entry("leader").session)
    assert.same(pids, {test:sleepers("own"), test:sleepers("web")})
    alpha:start():wait_joined()
    assert.same(pids, {test:sleepers("own"), test:sleepers("web")})
  end)

  local function expect_nothing_left(session)
    assert.equal(0, #test:sleepers("own"))
    assert.equal(0, #test:sleepers("web"))
    assert.is_nil(consul:session(session))
    for _, key in ipairs{"live/alpha", "status/alpha/resource", "status/alpha/applications", "leader"} do
      local entry = consul:entry(key)
      assert.is_nil(entry and entry.session, key)
    end
    -- Nobody leads: the next leader hears by it that this node left, and deletes it.
    assert.is_true(consul:document("live/alpha").left)
    for _, name in ipairs(consul:catalog_nodes()) do
      assert.not_equal("appmgr-alpha", name)
    end
    loop.wait_for("the keeper ends", 5000, function() return not alpha:keeper_pid() end)
    assert.is_nil(uv.fs_stat(alpha.socket))
  end

  it("gives everything up on SIGINT", function()
    loop.wait_for("alpha leads", 15000, function() return consul:leader() == "alpha" end)
    local session = consul:entry("live/alpha").session
    alpha:stop("sigint")
    assert.equal(0, alpha.process.code)
    expect_nothing_left(session)
  end)

  it("gives everything up on leave", function()
    alpha:start():wait_joined()
    test:wait_for_sleepers("web", 1, 15000)
    test:wait_for_sleepers("own", 1)
    local session = consul:entry("live/alpha").session
    local result = alpha:cli("leave")
    assert.equal(0, result.code, result.stderr)
    alpha.process:wait(15000)
    assert.equal(0, alpha.process.code)
    expect_nothing_left(session)
  end)

  it("ends on leave even when Consul does not answer", function()
    alpha:start():wait_joined()
    test:wait_for_sleepers("own", 1)
    consul:stop()
    alpha:cli("leave", {timeout_ms = 40000})
    alpha.process:wait(40000)
    assert.equal(0, #test:sleepers("own"))
    assert.is_nil(process.look(alpha.process.pid))
  end)
end)
