--- Tasks from the key to the process: placed, scaled, changed, removed; the leader's documents.
local json = require("dkjson")
local harness = require("tests.lib.harness")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local REPAIR_DEADLINE_MS = 60000
-- Of /proc, on every Linux that Debian builds.
local TICKS_PER_S = 100

describe("a Consul task", function()
  local test, consul, alpha, beta

  local function topology(node)
    return table.concat(consul:document("topology/" .. node) or {"(no topology)"}, " ")
  end

  local function replicas(node)
    return (consul:document("assignment/" .. node) or {replicas = {}}).replicas
  end

  local function replica_of(node, task)
    for _, replica in ipairs(replicas(node)) do
      if replica.task == task then
        return replica
      end
    end
  end

  -- "web.0 web.1": the slots a node is assigned.
  local function slots(node)
    local names = {}
    for i, replica in ipairs(replicas(node)) do
      names[i] = replica.task .. "." .. math.tointeger(replica.slot)
    end
    table.sort(names)
    return table.concat(names, " ")
  end

  local function wait_for_topology(wanted)
    loop.wait_for("topology " .. json.encode(wanted), 15000, function()
      for node, names in pairs(wanted) do
        if topology(node) ~= names then
          return false, node .. ": " .. topology(node)
        end
      end
      return true
    end)
  end

  -- What was deleted is marked as leaving first, and leaves the assignment when it has stopped.
  local function wait_for_web_alone()
    loop.wait_for("nothing but web is assigned", 10000, function()
      return slots("alpha"):find("^web%.%d$") and slots("beta"):find("^web%.%d$"), slots("alpha") .. " / " .. slots("beta")
    end)
  end

  setup(function()
    test = harness.open()
    consul = test:start_consul()
    -- The local application must be there before the task of the same name.
    alpha = test:join("alpha", consul, {config = {Applications = {{name = "mine", command = test:sleeper("localmine")}}}})
    beta = test:join("beta", consul)
  end)

  teardown(function() test:close() end)

  it("written with curl runs once per replica, and stands in assignment, topology and version", function()
    consul:put("task/web", [[{ "content": { "command": "]] .. test:sleeper("web") .. [[", "name": "web" }, "replication": 2 }]])
    test:wait_for_sleepers("web", 2)
    wait_for_topology{alpha = "web", beta = "web"}
    assert.equal("web.0 web.1", slots("alpha") < slots("beta") and slots("alpha") .. " " .. slots("beta")
      or slots("beta") .. " " .. slots("alpha"))
    local replica = replica_of("alpha", "web")
    assert.is_number(replica.since)
    local content = consul:document("version/web/" .. replica.version)
    assert.equal(test:sleeper("web"), content.command)
  end)

  it("is reported in the status key with task, slot and version", function()
    for _, node in ipairs{"alpha", "beta"} do
      local replica = replica_of(node, "web")
      local seen = loop.wait_for(node .. " reports web", 10000, function()
        local all = consul:document("status/" .. node .. "/applications")
        return all and all.web and all.web.state == "running" and all.web
      end)
      assert.equal("web", seen.task)
      assert.equal(replica.slot, seen.slot)
      assert.equal(replica.version, seen.version)
    end
  end)

  it("is scaled down and up; what runs on does not notice", function()
    local kept
    consul:put("task/web", {content = {command = test:sleeper("web"), name = "web"}, replication = 1})
    kept = test:wait_for_sleepers("web", 1)[1]
    consul:put("task/web", {content = {command = test:sleeper("web"), name = "web"}, replication = 2})
    local now = test:wait_for_sleepers("web", 2)
    assert.truthy(now[1] == kept or now[2] == kept)
    consul:put("task/web", {content = {command = test:sleeper("web"), name = "web"}, replication = 0})
    test:wait_for_sleepers("web", 0)
    wait_for_topology{alpha = "", beta = ""}
    consul:put("task/web", {content = {command = test:sleeper("web"), name = "web"}, replication = 2})
    test:wait_for_sleepers("web", 2)
  end)

  it("has no more slots on a node than max_per_node, and the rest is pending", function()
    consul:put("task/crowd", {content = {command = test:sleeper("crowd")}, replication = 5})
    test:wait_for_sleepers("crowd", 2)
    loop.wait_for("three replicas are shown as pending", 10000, function()
      local out = alpha:cli("tasks").stdout
      return out:match("crowd[^\n]*3"), out
    end)
    consul:put("task/crowd", {content = {command = test:sleeper("crowd")}, replication = 5, max_per_node = 3})
    test:wait_for_sleepers("crowd", 5)
    local all = loop.wait_for("second slots have names of their own", 10000, function()
      local a, b = consul:document("status/alpha/applications"), consul:document("status/beta/applications")
      return (a["crowd#3"] or b["crowd#3"]) and a["crowd#2"] and b["crowd#2"] and a
    end)
    assert.is_table(all.crowd)
    local names = topology("alpha") .. " " .. topology("beta")
    assert.equal(5, select(2, names:gsub("crowd", "")))
    consul:delete("task/crowd")
    test:wait_for_sleepers("crowd", 0)
  end)

  it("with replication \"all\" runs on each eligible node", function()
    consul:put("task/each", {content = {command = test:sleeper("each")}, replication = "all"})
    test:wait_for_sleepers("each", 2)
    consul:put("node/beta", {eligible = false})
    -- Once the leader follows alpha's new label it has read node/ after beta's change.
    consul:put("node/alpha", {labels = {probe = "on"}})
    consul:put("task/probe", {content = {command = test:sleeper("probe")}, replication = 1, condition = {probe = "on"}})
    test:wait_for_sleepers("probe", 1)
    consul:delete("task/probe")
    consul:put("task/fresh", {content = {command = test:sleeper("fresh")}, replication = "all"})
    test:wait_for_sleepers("fresh", 1)
    assert.truthy(slots("alpha"):find("fresh", 1, true))
    consul:delete("node/", true)
    test:wait_for_sleepers("fresh", 2)
    consul:delete("task/fresh")
    consul:delete("task/each")
    test:wait_for_sleepers("each", 0)
  end)

  it("moves its slots to a changed content", function()
    consul:put("task/web", {content = {command = test:sleeper("webtwo"), name = "web"}, replication = 2})
    loop.wait_for("both slots run the new version", 20000, function()
      return #test:sleepers("web") == 0 and #test:sleepers("webtwo") == 2
    end)
    assert.equal(replica_of("alpha", "web").version, replica_of("beta", "web").version)
    assert.equal(2, #consul:keys("version/web/"))
  end)

  it("moves them one after the other: the second is told to stop after the first runs anew", function()
    local stops = test.dir .. "/stops"
    -- Writes down when it is told to stop, and takes its time for it: two that are told at once
    -- have both written before either is replaced.
    process.spit(test.dir .. "/slow-to-stop", ([[
trap 'read up idle < /proc/uptime; echo "$up" >> %s; sleep 0.5; kill $!; exit 0' TERM
%s &
wait
]]):format(stops, test:sleeper("turnone")))
    consul:put("task/turn", {content = {command = {"/bin/sh", test.dir .. "/slow-to-stop"}}, replication = 2})
    test:wait_for_sleepers("turnone", 2)
    consul:put("task/turn", {content = {command = test:sleeper("turntwo")}, replication = 2})
    local first_start = math.huge
    for _, pid in ipairs(test:wait_for_sleepers("turntwo", 2, 20000)) do
      first_start = math.min(first_start, process.look(pid).start_ticks / TICKS_PER_S)
    end
    local stopped = {}
    for line in process.slurp(stops):gmatch("%S+") do
      stopped[#stopped + 1] = tonumber(line)
    end
    assert.equal(2, #stopped)
    assert.is_true(stopped[1] <= first_start and first_start <= stopped[2],
      ("stopped %s, %s, started %s"):format(stopped[1], stopped[2], first_start))
    consul:delete("task/turn")
    test:wait_for_sleepers("turntwo", 0)
  end)

  it("keeps the old version on the later slots while the first does not run", function()
    consul:put("task/web", {content = {command = "/nonexistent/release", name = "web"}, replication = 2})
    loop.wait_for("one slot has the new version", 15000, function() return #consul:keys("version/web/") == 3 end)
    test:wait_for_sleepers("webtwo", 1)
    loop.hold("the other replica stays", 2500, function() return #test:sleepers("webtwo") == 1 end)
    consul:put("task/web", {content = {command = test:sleeper("webtwo"), name = "web"}, replication = 2})
    test:wait_for_sleepers("webtwo", 2, 15000)
  end)

  it("is not restarted for a change that does not concern the process", function()
    local pids = test:sleepers("webtwo")
    consul:put("task/web", {
      content = {command = test:sleeper("webtwo"), name = "web", stop_timeout = 3, comments = "calm"}, replication = 2, priority = 5,
    })
    loop.wait_for("both slots have the new version", 20000, function()
      for _, node in ipairs{"alpha", "beta"} do
        local app = (consul:document("status/" .. node .. "/applications") or {}).web
        if not (app and app.comments == "calm" and app.version == replica_of(node, "web").version) then
          return false, json.encode(app)
        end
      end
      return true
    end)
    assert.same(pids, test:sleepers("webtwo"))
  end)

  it("keeps its last ten versions, and no more", function()
    local function put(number)
      consul:put("task/often", {content = {command = test:sleeper("often"), comments = "version " .. number}, replication = 1})
      loop.wait_for("version " .. number .. " is in force", 10000, function()
        for _, node in ipairs{"alpha", "beta"} do
          local app = (consul:document("status/" .. node .. "/applications") or {}).often
          if app and app.comments == "version " .. number then
            return true
          end
        end
      end)
    end
    for number = 1, 13 do
      put(number)
    end
    -- What is superfluous goes with the next decision, whatever that is about.
    consul:put("node/nobody", {eligible = false})
    loop.wait_for("ten versions are left", 10000, function()
      local count = #consul:keys("version/often/")
      return count == 10, count
    end)
    assert.equal(1, #test:sleepers("often"))
    consul:delete("node/nobody")
    consul:delete("task/often")
    test:wait_for_sleepers("often", 0)
  end)

  it("costs nothing when it is settled: no document is written that is already there", function()
    local function indexes()
      local list = {}
      for _, folder in ipairs{"assignment/", "topology/", "task/", "live/", "meta", "leader"} do
        for _, key in ipairs(consul:keys(folder)) do
          list[key] = consul:entry(key).modify_index
        end
      end
      return list
    end
    wait_for_web_alone()
    local settled = indexes()
    loop.pass(3000)
    assert.same(settled, indexes())
  end)

  it("gives way to a local application of the same name", function()
    local own = test:sleepers("localmine")[1]
    consul:put("task/mine", {content = {command = test:sleeper("taskmine")}, replication = "all"})
    test:wait_for_sleepers("taskmine", 1)
    assert.truthy(slots("beta"):find("mine", 1, true))
    assert.is_nil(slots("alpha"):find("mine", 1, true))
    assert.same({own}, test:sleepers("localmine"))
    consul:delete("task/mine")
    test:wait_for_sleepers("taskmine", 0)
  end)

  it("may stand beside folder keys with no value, as Consul's own pages make them", function()
    consul:put("task/folder/", "")
    consul:put("task/beside", {content = {command = test:sleeper("beside")}, replication = 1})
    test:wait_for_sleepers("beside", 1)
    consul:delete("task/folder/")
    consul:delete("task/beside")
    test:wait_for_sleepers("beside", 0)
  end)

  it("has its documents repaired within a minute after somebody else changed them", function()
    wait_for_web_alone()
    local pids = test:sleepers("webtwo")
    local before = {slots("alpha"), slots("beta")}
    consul:delete("topology/alpha")
    consul:put("topology/beta", {"something", "else"})
    consul:put("assignment/alpha", "this is no assignment")
    loop.wait_for("all is as it was", REPAIR_DEADLINE_MS, function()
      local ok = pcall(function()
        assert(slots("alpha") == before[1] and slots("beta") == before[2])
        assert(topology("alpha") == "web" and topology("beta") == "web")
      end)
      return ok, topology("alpha") .. " / " .. topology("beta") .. " / " .. tostring(consul:get("assignment/alpha"))
    end)
    assert.same(pids, test:sleepers("webtwo"))
  end)

  it("on more hosts than one transaction holds reaches all of them, and hosts that go lose their keys", function()
    local pattern, hosts, session = consul:get("live/alpha"), 70, consul:session_create{TTL = "3600s", Behavior = "delete"}
    for i = 1, hosts do
      local host = ("host%02d"):format(i)
      local document = json.decode(pattern)
      document.node, document.local_applications = host, json.decode("[]")
      assert.is_true(consul:put("live/" .. host, document, "acquire=" .. session))
    end
    consul:put("task/wide", {content = {command = test:sleeper("wide")}, replication = "all"})
    loop.wait_for("72 hosts have both documents", 20000, function()
      local ready = 0
      for _, key in ipairs(consul:keys("topology/")) do
        local host = key:match("[^/]+$")
        ready = ready + ((slots(host):find("wide") and topology(host):find("wide")) and 1 or 0)
      end
      return ready == hosts + 2, ready
    end)
    consul:session_destroy(session)
    -- That so many vanish at once has to be confirmed.
    local id = loop.wait_for("the loss waits for a confirmation", 20000, function()
      local held = alpha:json("plan").confirm[1]
      return held and held.id
    end)
    assert.truthy(slots("host01"):find("wide"))
    assert.equal(0, alpha:cli("plan", "--confirm", id).code)
    loop.wait_for("the 70 are forgotten", 40000, function()
      local left = #consul:keys("assignment/") + #consul:keys("topology/")
      return left == 4, left
    end)
    consul:delete("task/wide")
    test:wait_for_sleepers("wide", 0)
  end)

  it("tells each slot where the others are, and restarts none when one moves", function()
    local function document(replication)
      return {replication = replication, peers = true, content = {
        command = {"/bin/sh", "-c", "echo $APPMGR_INSTANCE $APPMGR_PEERS >> " .. test.dir .. "/peers; exec sleep 100000"},
      }}
    end
    local function told(count)
      return loop.wait_for(count .. " were told", 10000, function()
        local lines = {}
        for line in process.slurp(test.dir .. "/peers"):gmatch("[^\n]+") do lines[#lines + 1] = line end
        return #lines == count and lines, table.concat(lines, " | ")
      end)
    end
    consul:put("task/peers", document(2))
    local lines = told(2)
    table.sort(lines)
    local other = {alpha = "beta", beta = "alpha"}
    local host = lines[1]:match("^peers.0 peers.1=(%a+)$")
    assert.equal("peers.1 peers.0=" .. other[host], lines[2])
    consul:put("task/peers", document(1))
    loop.wait_for("the one that stays is told in its assignment", 10000, function()
      local left = replica_of(other[host], "peers")
      return not replica_of(host, "peers") and not left.peers
    end)
    told(2)
    consul:delete("task/peers")
    loop.wait_for("it has gone", 10000, function() return not replica_of(other[host], "peers") end)
  end)

  it("is deleted: its processes end, and the hosts keep their (empty) keys", function()
    consul:delete("task/web")
    test:wait_for_sleepers("webtwo", 0)
    wait_for_topology{alpha = "", beta = ""}
    assert.equal("[]", consul:get("topology/alpha"))
    assert.truthy(alpha.process:is_running() and beta.process:is_running())
  end)
end)
