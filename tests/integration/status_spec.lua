--- What a node tells about itself: the two status keys of the seed, and live/<host>.
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local TIME = "^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d$"

describe("the status of a node", function()
  local test, consul, alpha

  local function resource()
    return consul:document("status/alpha/resource")
  end

  local function app(name)
    return (consul:document("status/alpha/applications") or {})[name]
  end

  local function wait_for_app(name, what, condition)
    return loop.wait_for(name .. " " .. what, 10000, function()
      local seen = app(name)
      return seen and condition(seen) and seen, json.encode(seen)
    end)
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    alpha = test:join("alpha", consul, {
      consul_settings = {report_interval = 2},
      config = {
        Labels = {zone = "a", arch = "test"},
        Applications = {
          {name = "ping", command = test:sleeper("ping"), cache_lines = 30, comments = "watch it", env = {SECRET = "hunter2-secret"},
            user = "root", working_dir = "/tmp"},
          {name = "off", command = "true", status = 0},
        },
      },
    })
    loop.wait_for("the first report", 10000, function() return resource() and app("ping") end)
  end)

  teardown(function() test:close() end)

  it("has the seed's resource fields with real values", function()
    local seen = resource()
    assert.equal(alpha.process.pid, seen.pid)
    assert.matches(TIME, seen.appmgr_start_time)
    assert.matches(TIME, seen.systime)
    local processors = select(2, process.slurp("/proc/cpuinfo"):gsub("processor%s*:", ""))
    assert.equal(processors, seen.cpu_processors)
    for _, name in ipairs{"cpu_cores", "cpu_sockets"} do
      assert.equal("integer", math.type(seen[name]), name)
      assert.is_true(seen[name] >= 1, name)
    end
    local total_kb = tonumber(process.slurp("/proc/meminfo"):match("MemTotal:%s*(%d+)"))
    assert.equal(total_kb * 1024, seen.mem_total_bytes)
    assert.is_true(seen.mem_free_bytes > 0 and seen.mem_free_bytes < seen.mem_total_bytes)
    for _, name in ipairs{"mem_total_swap_bytes", "mem_free_swap_bytes"} do
      assert.equal("integer", math.type(seen[name]), name)
    end
    for _, name in ipairs{"1min", "5min", "15min"} do
      assert.is_number(seen.load[name])
    end
  end)

  it("lists filesystems and networks as the seed names them", function()
    local seen = resource()
    local root
    for _, fs in ipairs(seen.fs) do
      assert.is_string(fs.device)
      assert.is_true(fs.usage >= 0 and fs.usage <= 1)
      assert.equal("integer", math.type(fs.size))
      assert.equal("integer", math.type(fs.used))
      root = fs.mount_point == "/" and fs or root
    end
    -- In a container or a chroot the root may be none that has a device.
    if process.slurp("/proc/self/mountinfo"):find("%d+:%d+ %S+ / [^\n]- %- %S+ /dev/") then
      assert.is_table(root, "the root filesystem")
    end
    for _, net in ipairs(seen.net) do
      assert.equal(net.address:find(":", 1, true) == nil, net.ipv4)
      assert.is_string(net.name)
      assert.not_equal("127.0.0.1", net.address, "what only this machine can reach says nothing to others")
    end
  end)

  it("has the seed's application fields", function()
    local seen = wait_for_app("ping", "runs", function(now) return now.state == "running" end)
    local expected = {
      name = "ping", command = test:sleeper("ping"), cache_lines = 30, comments = "watch it", user = "root",
      working_dir = "/tmp", status = 1, health = 0,
    }
    for field, value in pairs(expected) do
      assert.equal(value, seen[field], field)
    end
    assert.equal(test:sleepers("ping")[1], seen.pid)
    assert.matches("^%x+%-%x+%-%x+%-%x+%-%x+$", seen.id)
    assert.matches(TIME, seen.last_start_time)
    assert.equal(0, app("off").status)
    assert.not_equal("running", app("off").state)
  end)

  it("measures the memory of an application", function()
    local seen = wait_for_app("ping", "has a memory figure", function(now) return now.memory end)
    assert.equal("integer", math.type(seen.memory))
    assert.is_true(seen.memory > 4096 and seen.memory < 100 * 1024 * 1024)
  end)

  it("is told again every report_interval", function()
    local first = resource().systime
    local second = loop.wait_for("another systime", 8000, function()
      local now = resource().systime
      return now ~= first and now
    end)
    loop.wait_for("a third one", 8000, function() return resource().systime ~= second end)
  end)

  it("is told at once when an application changes state, with the same id for its whole life", function()
    local before = app("ping")
    uv.kill(before.pid, "sigkill")
    local after = wait_for_app("ping", "has another process", function(now) return now.pid and now.pid ~= before.pid end)
    assert.equal(before.id, after.id)
    assert.equal(128 + 9, after["return"])
    assert.equal(1, after.restarts)
    alpha:stop("sigterm")
    alpha:start()
    assert.equal(before.id, wait_for_app("ping", "is back", function(now) return now.pid == after.pid end).id)
  end)

  it("stands beside live/<host>: labels, capacity, incarnation, cluster, API version", function()
    local live = alpha:wait_joined().consul:document("live/alpha")
    assert.equal("alpha", live.node)
    assert.equal(1, live.api)
    assert.equal("a", live.labels.zone)
    assert.equal("integer", math.type(live.incarnation))
    assert.equal(consul:document("meta").cluster, live.cluster)
    assert.equal("integer", math.type(live.capacity.cpu))
    assert.equal("integer", math.type(live.capacity.memory_mb))
    table.sort(live.local_applications)
    assert.same({"off", "ping"}, live.local_applications)
  end)

  it("shows no value of env anywhere", function()
    for _, key in ipairs(consul:keys("")) do
      assert.is_nil(consul:get(key):find("hunter2-secret", 1, true), key)
    end
    assert.is_nil(alpha:log():find("hunter2-secret", 1, true))
    local commands = {
      {"app", "show", "ping"}, {"app", "ls", "--json"}, {"status"}, {"repl", "-e", "config"}, {"repl", "-e", "dump(apps)"},
    }
    for _, command in ipairs(commands) do
      local result = alpha:cli(table.unpack(command))
      assert.is_nil((result.stdout .. result.stderr):find("hunter2-secret", 1, true), table.concat(command, " "))
    end
  end)

  it("is made smaller when it does not fit into Consul, and says so", function()
    local many = {}
    for i = 1, 2000 do
      many[i] = {name = "bulk" .. i, command = "true", status = 0, comments = ("long words "):rep(20)}
    end
    many[#many + 1] = alpha.config.Applications[1]
    alpha:configure{Applications = many}
    alpha.process:kill("sighup")
    loop.wait_for("all 2001 are in the status key", 20000, function()
      local all, count = consul:document("status/alpha/applications"), 0
      for _ in pairs(all or {}) do
        count = count + 1
      end
      return count == 2001, count
    end)
    assert.is_true(#consul:get("status/alpha/applications") < 512 * 1024)
    assert.equal("running", app("ping").state)
    local out = alpha:cli("status").stdout
    assert.truthy(out:find("512 KiB", 1, true), out)
    assert.is_string(loop.wait_for("the resource key names the detail", 10000, function()
      return resource().applications_detail
    end))
  end)
end)
