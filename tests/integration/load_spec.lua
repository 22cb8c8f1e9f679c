--- A policy that looks at measured load: the leader reads what the nodes say of themselves, and places by it.
--
-- Nobody is made to work for this: the loaded nodes are made up, documents under a session of the test's own.
local json = require("dkjson")
local uv = require("luv")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")

local INTERVAL_S <const> = 1

describe("measured load", function()
  local test, consul, proxy, alpha, session
  local reads = {}

  -- Reads of telemetry that passed the proxy: when each came, in ms, and for which keys.
  local function watch_reads(request)
    if request.target:find("^/v1/txn") and request.body:find('"get%-tree"') and request.body:find("/resource", 1, true) then
      table.insert(reads, {at_ms = uv.hrtime() / 1e6, body = request.body})
    end
  end

  local function say_load(host, percent)
    local document = {load_percent = {cpu = percent, memory = percent}}
    assert.is_true(consul:put(("status/%s/resource"):format(host), document, "acquire=" .. session))
  end

  -- A node that has room and does nothing.
  local function make_up(host, percent)
    local document = json.decode(consul:get("live/alpha"))
    document.node, document.local_applications = host, setmetatable({}, {__jsontype = "array"})
    say_load(host, percent)
    assert.is_true(consul:put("live/" .. host, document, "acquire=" .. session))
  end

  local function use(policy)
    alpha:configure{Policy = {name = policy}}
    alpha.process:kill("sighup")
    loop.wait_for("the leader places by " .. policy, 15000, function()
      local plan = alpha:json("status").leading or {}
      return (plan.policy or {}).name == policy, json.encode(plan)
    end)
  end

  local function wait_for_reads(count)
    local before = #reads
    loop.wait_for(count .. " more reads of telemetry", 15000, function() return #reads >= before + count, #reads - before end)
  end

  local function place(task)
    consul:put("task/" .. task, {content = {command = "sleep 100000"}, replication = 1})
    return loop.wait_for(task .. " is placed", 15000, function()
      local where = test:placements(consul, task)[1]
      return where and where:match("^assignment/(%S+)")
    end)
  end

  -- Something is decided: a task more is placed. (None is taken away: these nodes would never say that it went.)
  local decided = 0
  local function decide()
    decided = decided + 1
    return place("task" .. decided)
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    proxy = test:start_proxy(consul)
    proxy.on_request = watch_reads
    alpha = test:join("alpha", consul, {consul_settings = {url = proxy.url, topology_interval = INTERVAL_S}})
    assert.equal(0, alpha:cli("node", "ineligible", "alpha").code)
    session = consul:session_create{TTL = "3600s", Behavior = "delete"}
    make_up("beta", 80)
    make_up("gamma", 20)
  end)

  teardown(function() test:close() end)

  it("is not read while no policy looks at it", function()
    assert.equal("beta", place("first")) -- by spread: nobody has anything, so the first by name
    assert.equal("gamma", place("other"))
    assert.equal(0, #reads)
  end)

  it("decides where a task goes, as it is now", function()
    use("least_loaded")
    wait_for_reads(2) -- by the second the first is answered
    assert.truthy(reads[1].body:find("status/beta/resource", 1, true))
    assert.equal("gamma", place("second"))
    say_load("beta", 10)
    say_load("gamma", 90)
    wait_for_reads(3) -- the first of them may have been on its way; by the third the second is answered
    assert.equal("beta", place("third"))
  end)

  it("is read once in a topology_interval, however much is decided meanwhile", function()
    local first = #reads + 1
    loop.wait_for("four more reads", 20000, function()
      decide()
      return #reads >= first + 4
    end)
    -- All of them together: one that is seen late here is followed by one that seems to be early.
    local apart_ms, gaps = reads[#reads].at_ms - reads[first].at_ms, #reads - first
    assert.truthy(apart_ms >= 1000 * INTERVAL_S * (gaps - 1.5), ("%d in only %.0f ms"):format(gaps + 1, apart_ms))
  end)

  it("is not read any more when the policy is another one", function()
    use("spread")
    decide()
    local before = #reads
    for _ = 1, 3 do decide() end
    assert.equal(before, #reads)
  end)
end)
