--- Graceful hand-over: from SIGTERM of the leader until another agent's session holds the key.
local uv = require("luv")
local http = require("tests.lib.http")
local json = require("dkjson")
local loop = require("tests.lib.loop")
local statistics = require("tests.bench.statistics")

local ROUNDS = 15

-- Long polls the leader key until a session other than `old` holds it; calls done(time in ms).
local function watch(consul, old, index, done)
  local path = "/v1/kv/appmgr/leader?wait=25s&index=" .. index
  http.start({port = consul.http_port, path = path}, function(response)
    local entry = response and response.status == 200 and json.decode(response.body)[1]
    if entry and entry.Session and entry.Session ~= old then
      return done(uv.hrtime() / 1e6)
    end
    watch(consul, old, response and response.headers["x-consul-index"] or 0, done)
  end)
end

--- Measures in a test of the harness.
-- @treturn table rows for statistics.print
return function(test)
  local consul = test:start_consul{kind = "server", name = "server"}
  local agents, samples = {}, {}
  for _, node in ipairs{"alpha", "beta", "gamma"} do
    agents[node] = test:join(node, consul)
  end
  for round = 1, ROUNDS do
    local name = loop.wait_for("somebody leads", 20000, function() return consul:leader() end)
    local entry, taken = consul:entry("leader"), nil
    watch(consul, entry.session, entry.modify_index, function(time_ms) taken = time_ms end)
    loop.pass(300)
    local began = uv.hrtime() / 1e6
    agents[name].process:kill("sigterm")
    loop.wait_for("another holds the key", 30000, function() return taken end)
    samples[round] = taken - began
    agents[name].process:wait()
    agents[name]:start():wait_joined()
  end
  return {{"hand-over of leadership on SIGTERM, ms", statistics.spread(samples, 1), "< 100"}}
end
