--- Private Consuls on free loopback ports: dev, server with raft on disk, client agent.
-- Each has its own folder and dies with the test.
local json = require("dkjson")
local uv = require("luv")
local kv = require("tests.lib.kv")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local M = {}

local START_DEADLINE_MS = 20000
local START_ATTEMPTS = 5
-- Below the kernel's own range for outgoing connections, so that nobody gets one by chance.
local FIRST_PORT, LAST_PORT = 12000, 32000

local Consul = setmetatable({}, {__index = kv})
Consul.__index = Consul

local binary

--- The path of the consul binary (scripts/consul.sh knows).
function M.binary()
  if not binary then
    local result = process.run({"scripts/consul.sh"}, {timeout_ms = 120000})
    assert(result.code == 0, result.stderr)
    binary = result.stdout:match("^(%S+)")
  end
  return binary
end

local function is_free(port)
  local socket = uv.new_tcp()
  local ok = socket:bind("127.0.0.1", port) and socket:listen(1, function() end)
  socket:close()
  return ok
end

local next_port = FIRST_PORT + math.tointeger(uv.os_getpid()) * 37 % (LAST_PORT - FIRST_PORT)

--- A TCP port on 127.0.0.1 that nobody listens on at the moment.
function M.free_port()
  repeat
    next_port = next_port >= LAST_PORT and FIRST_PORT or next_port + 1
  until is_free(next_port)
  return next_port
end

local function choose_ports(self)
  self.http_port, self.https_port = M.free_port(), self.tls and M.free_port() or -1
  self.server_port, self.serf_port, self.wan_port = M.free_port(), M.free_port(), M.free_port()
end

local function settings(self)
  local document = {
    node_name = self.name, bind_addr = "127.0.0.1", client_addr = "127.0.0.1", datacenter = "dc1",
    disable_update_check = true, log_level = "warn", performance = {raft_multiplier = 1},
    limits = {http_max_conns_per_client = 4000},
    ports = {
      http = self.http_port, https = self.https_port, dns = -1, grpc = -1,
      server = self.server_port, serf_lan = self.serf_port, serf_wan = self.wan_port,
    },
  }
  if self.kind == "server" then
    document.server, document.bootstrap_expect = true, self.bootstrap_expect or 1
    document.data_dir = self.dir .. "/data"
  elseif self.kind == "client" then
    document.data_dir = self.dir .. "/data"
    document.retry_join = {"127.0.0.1:" .. self.join.serf_port}
    document.retry_interval = "1s"
  end
  if self.acl then
    document.acl = {enabled = true, default_policy = "deny", tokens = {master = self.acl, agent = self.acl}}
  end
  for key, value in pairs(self.tls or {}) do
    document[key] = value
  end
  return document
end

local function has_leader(self)
  if not self.process:is_running() then
    return true
  end
  local response = self:request("GET", "/v1/status/leader", nil, 2000)
  if not (response and response.status == 200 and response.body:find("%d")) then
    return false, response and response.body
  end
  -- A leader that still replays its log refuses writes; the first write that passes says "ready".
  local written = self:request("PUT", "/v1/kv/probe-" .. self.name, "up", 9000)
  return written and (written.status == 200 or written.status == 403), written and written.body
end

-- Starts consul on the ports it has; false when it ended at once (a port was taken meanwhile).
local function launch(self)
  process.spit(self.dir .. "/consul.json", json.encode(settings(self)))
  local argv = {M.binary(), "agent", "-config-file", self.dir .. "/consul.json"}
  if self.kind == "dev" then
    argv[#argv + 1] = "-dev"
  end
  self.process = process.start(argv, {stdout = self.dir .. "/consul.log", stderr = self.dir .. "/consul.log"})
  if self.bootstrap_expect == nil then
    loop.wait_for("consul is ready, see " .. self.dir .. "/consul.log", START_DEADLINE_MS, function() return has_leader(self) end)
  end
  return self.process:is_running()
end

--- Starts a Consul.
-- @tparam table options dir (its own, exists), kind "dev"|"server"|"client", name, join (server to
--   join, for clients), acl (the master token), tls (settings with files, for HTTPS), bootstrap_expect
function M.start(options)
  local self = setmetatable(options, Consul)
  self.kind, self.name = self.kind or "dev", self.name or "private"
  self.token = self.acl
  uv.fs_mkdir(self.dir, 448)
  for _ = 1, START_ATTEMPTS do
    choose_ports(self)
    if launch(self) then
      self.url = "http://127.0.0.1:" .. self.http_port
      self.https_url = self.tls and "https://127.0.0.1:" .. self.https_port
      return self
    end
  end
  error("consul does not start: " .. process.slurp(self.dir .. "/consul.log"))
end

--- Ends it; "sigterm" leaves the catalog (a client), "sigkill" does not.
function Consul:stop(signal)
  self.process:stop(signal or "sigkill")
end

--- Starts it again on the same ports (a dev Consul comes back empty).
function Consul:start_again()
  assert(not self.process:is_running(), "it still runs")
  assert(launch(self), "consul does not start again, see " .. self.dir .. "/consul.log")
end

return M
