--- The tools of the tests, tried on themselves: what they say must be believed.
local uv = require("luv")
local Agent = require("tests.lib.agent")
local base64 = require("tests.lib.base64")
local harness = require("tests.lib.harness")
local http = require("tests.lib.http")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

describe("the harness", function()
  local test, consul, proxy

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    proxy = test:start_proxy(consul)
  end)

  teardown(function() test:close() end)

  local function get(path, timeout_ms)
    return http.request{port = proxy.http_port, path = path, timeout_ms = timeout_ms or 15000}
  end

  it("waits for what comes, and tells what did not", function()
    local looks = 0
    assert.equal(3, loop.wait_for("three looks", 1000, function()
      looks = looks + 1
      return looks == 3 and looks
    end))
    local ok, err = pcall(loop.wait_for, "never", 20, function() return false, "the state seen" end)
    assert.is_false(ok)
    assert.truthy(err:find("never", 1, true) and err:find("the state seen", 1, true))
  end)

  it("encodes and decodes base64 of every length", function()
    for length = 0, 9 do
      local bytes = ("\0\255\16x"):rep(3):sub(1, length)
      assert.equal(bytes, base64.decode(base64.encode(bytes)))
    end
    assert.equal("aGVsbG8=", base64.encode("hello"))
  end)

  it("reads, writes and compares keys", function()
    assert.is_nil(consul:get("none"))
    assert.is_true(consul:put("key", {a = 1}, "cas=0"))
    assert.is_false(consul:put("key", "other", "cas=0"))
    assert.equal(1, consul:document("key").a)
    assert.equal(409, (consul:transaction{{Verb = "cas", Key = "key", Value = "x", Index = 1}}))
    consul:delete("key")
    assert.same({}, consul:keys("key"))
  end)

  it("has a proxy that passes answers on unchanged and counts", function()
    proxy:reset_counts()
    consul:put("seen", ("long "):rep(5000))
    local through, direct = get("/v1/kv/appmgr/seen"), consul:request("GET", "/v1/kv/appmgr/seen")
    assert.equal(direct.body, through.body)
    assert.equal(1, proxy.requests)
    assert.is_true(proxy.bytes_down > 25000)
  end)

  it("has a proxy that tells every lie it is asked for, as long as it is asked", function()
    local status = {error500 = 500, forbidden = 403, not_found = 404, moved = 301, html = 200, false200 = 200, empty200 = 200}
    for name, expected in pairs(status) do
      local rule = proxy:lie("^GET /v1/kv/", name, {times = 1})
      assert.equal(expected, get("/v1/kv/appmgr/seen").status, name)
      assert.equal(1, rule.told)
      assert.truthy(get("/v1/kv/appmgr/seen").body:find("seen", 1, true), name .. " is told once")
    end
    for _, name in ipairs{"half", "garbage", "cut", "hang"} do
      local rule = proxy:lie("^GET", name)
      assert.is_nil((get("/v1/kv/appmgr/seen", 300)), name)
      rule.drop()
    end
    assert.equal(200, get("/v1/kv/appmgr/seen").status)
  end)

  it("has a proxy that holds a request back and delivers it after its sender has gone", function()
    local held
    proxy:lie("^PUT", function(_, _, pass_on) held = pass_on end)
    local sender = http.start({port = proxy.http_port, method = "PUT", path = "/v1/kv/appmgr/late", body = "late"}, function() end)
    loop.wait_for("the request is held", 2000, function() return held end)
    sender:close()
    loop.pass(50)
    assert.is_nil(consul:get("late"))
    held()
    loop.wait_for("it has arrived", 2000, function() return consul:get("late") == "late" end)
    proxy:be_honest()
  end)

  it("cuts long polls in the middle", function()
    local err
    http.start({port = proxy.http_port, path = "/v1/kv/appmgr/late?wait=25s&index=999999"}, function(_, reason) err = reason end)
    loop.pass(100)
    assert.is_nil(err)
    proxy:cut_all()
    loop.wait_for("the poll is cut", 1000, function() return err end)
  end)

  it("starts a server that keeps its keys over a restart", function()
    local server = test:start_consul{kind = "server", name = "server"}
    server:put("kept", "yes")
    server:stop()
    assert.is_nil((server:request("GET", "/v1/status/leader", nil, 1000)))
    server:start_again()
    assert.equal("yes", server:get("kept"))
  end)

  it("tells processes apart", function()
    local one = process.start{"sh", "-c", test:sleeper("one") .. " & wait"}
    local pid = test:wait_for_sleepers("one", 1)[1]
    assert.equal(one.pid, process.look(pid).parent)
    assert.equal(0, #test:sleepers("two"))
    one:stop("sigkill")
    uv.kill(pid, "sigkill")
    -- A dying process has no command line any more before it counts as gone.
    loop.wait_for("the sleeper is gone", 5000, function() return process.look(pid) == nil end)
    assert.equal(0, #test:sleepers("one"))
  end)

  it("fails a test in which a sanitizer complained", function()
    local agent = Agent.new{node = "fake", dir = test.dir}
    assert.is_nil(agent:sanitizer_text())
    process.spit(test.dir .. "/sanitizer.123", "==1==ERROR: AddressSanitizer: heap-use-after-free on address")
    assert.truthy(agent:sanitizer_text():find("heap-use-after-free", 1, true))
    os.remove(test.dir .. "/sanitizer.123")
  end)
end)

describe("the guard", function()
  local guard = Agent.build_dir .. "/tests/guard"

  local function run(seconds, command)
    return process.run({guard, tostring(seconds), "sh", "-c", command}, {timeout_ms = 20000})
  end

  it("passes on what the command returns", function()
    assert.equal(0, run(10, "true").code)
    assert.equal(7, run(10, "exit 7").code)
  end)

  it("fails a command that leaves a daemon behind, names it and ends it", function()
    local result = run(10, "setsid sleep 98761.5 & exit 0")
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("sleep 98761.5", 1, true))
    assert.same({}, process.find("sleep 98761.5"))
  end)

  it("ends a command that hangs, with everything that it started", function()
    local result = run(1, "setsid sleep 98762.5 & sleep 98763.5")
    assert.equal(124, result.code)
    assert.same({}, process.find("sleep 98762.5"))
  end)

  teardown(function() loop.close_all() end)
end)
