--- What the planner is fed with: Consul's answers, as they come.
--
-- task/, live/ and node/ are followed by long polls whose first read is
-- consistent; the status of hosts that a rollout waits for likewise. The list of
-- versions is read once, the audit (assignment/, topology/, meta in one
-- transaction) when asked. Nothing is parsed here.
local Watch = require("appmgr.consul.watch")

local M = {}

local Feeds = {}
Feeds.__index = Feeds

local TREES = { "task", "live", "node" }
local RETRY_FIRST_MS, RETRY_CEILING_MS = 500, 5000
-- A rollout follows one host after the other. Consul does not notice that a long poll was given up: until its wait is
-- over it counts as one of the 200 connections that a host may have, so these waits are short.
local STATUS_WAIT_S = 5

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `problems`, `fallback_ms`, `on_feed`
--   (function(header {topic, host, status, index, writes}, body)), `writes` (function → a number that grows when a write
--   begins and when it ends: a single read carries the one from when it was sent)
-- @treturn Feeds
function M.new(deps)
  return setmetatable({
    client = deps.client, timer = deps.timer, random = deps.random, problems = deps.problems,
    fallback_ms = deps.fallback_ms, on_feed = deps.on_feed, writes = deps.writes,
    watches = {}, status_watches = {}, reads = {}, generation = 0,
  }, Feeds)
end

local function tell(self, topic, err)
  local key = "feeds/" .. topic
  if not err then return self.problems:clear(key) end
  self.problems:set(key, ("the leader cannot read %s: %s; the last decision stays"):format(topic, err.message))
end

local function new_watch(self, key, header, recurse)
  local name = header.host and header.topic .. "/" .. header.host or header.topic
  return Watch.new({
    client = self.client, timer = self.timer, random = self.random, key = key, recurse = recurse, consistent = true,
    wait_s = header.host and STATUS_WAIT_S or nil, fallback_ms = self.fallback_ms,
    deliver = function(answer)
      self.on_feed({ topic = header.topic, host = header.host, status = answer.status, index = answer.index }, answer.body)
    end,
    on_error = function(err) tell(self, name, err) end,
  })
end

-- Single reads, tried until they succeed ------------------------------------

local read

local function read_later(self, topic, delay_ms)
  local state = self.reads[topic]
  state.wait = self.timer.after(math.ceil(delay_ms), function()
    state.wait = nil
    read(self, topic)
  end)
end

function read(self, topic)
  local state = self.reads[topic]
  local generation, writes = self.generation, self.writes()
  if state.wait then state.wait:cancel() end
  state.wait, state.again = nil, false
  state.request = state.send(function(answer, err)
    if generation ~= self.generation then return end
    state.request = nil
    tell(self, topic, err)
    if not answer then
      local longest = math.min(RETRY_CEILING_MS, RETRY_FIRST_MS * 2 ^ math.min(state.failures, 8))
      state.failures = state.failures + 1
      return read_later(self, topic, longest * (1 - self.random() / 4))
    end
    state.failures = 0
    self.on_feed({ topic = topic, status = answer.status, index = answer.index, writes = writes }, answer.body)
    if state.again and generation == self.generation then read(self, topic) end
  end)
end

--- Starts a read, or another one after the one that is under way.
local function begin_read(self, topic, send)
  local state = self.reads[topic] or { failures = 0, send = send }
  self.reads[topic] = state
  if state.request then
    state.again = true
  elseif state.failures == 0 then
    read(self, topic)
  end
end

local function read_versions(self)
  begin_read(self, "version", function(callback)
    return self.client:get("version/", { keys = true, consistent = true }, callback)
  end)
end

--- A read that Consul refuses (409) is an error: it means a missing permission.
local function refusal(self, body)
  local answer = self.client.transaction_answer(body)
  local first = answer and answer.errors[1]
  return { kind = "http", status = 409, message = first and first.message or "Consul refused the transaction" }
end

--- Reads what is assigned, and who this store is.
function Feeds:audit()
  local body = self.client.encode_transaction({
    { verb = "get-tree", key = "assignment/" }, { verb = "get-tree", key = "topology/" }, { verb = "get-tree", key = "meta" },
  })
  begin_read(self, "audit", function(callback)
    return self.client:transaction(body, { consistent = true }, function(answer, err)
      if answer and answer.status == 409 then return callback(nil, refusal(self, answer.body)) end
      callback(answer, err)
    end)
  end)
end

-- Public --------------------------------------------------------------------

--- Begins; everything is delivered once, then what changes.
function Feeds:start()
  for _, topic in ipairs(TREES) do
    self.watches[topic] = new_watch(self, topic .. "/", { topic = topic }, true)
    self.watches[topic]:start()
  end
  read_versions(self)
  self:audit()
end

--- What was read is of no use, because something was written meanwhile: it is read again in a moment, so that a
-- leader which writes all the time does not read all the time as well.
-- @tparam string topic "audit" or "version"
function Feeds:read_again(topic)
  if not self.reads[topic].wait then read_later(self, topic, RETRY_FIRST_MS) end
end

--- Follows the status of these hosts, and of no others.
-- @tparam table hosts array of names
function Feeds:follow_status(hosts)
  local wanted = {}
  for _, host in ipairs(hosts) do wanted[host] = true end
  for host, watch in pairs(self.status_watches) do
    if not wanted[host] then
      watch:stop()
      tell(self, "status/" .. host, nil)
      self.status_watches[host] = nil
    end
  end
  for _, host in ipairs(hosts) do
    if not self.status_watches[host] then
      local watch = new_watch(self, ("status/%s/applications"):format(host), { topic = "status", host = host }, false)
      self.status_watches[host] = watch
      watch:start()
    end
  end
end

--- Ends everything; nothing is delivered any more. May be started again.
function Feeds:stop()
  self.generation = self.generation + 1
  self:follow_status({})
  for _, watch in pairs(self.watches) do watch:stop() end
  for _, state in pairs(self.reads) do
    if state.request then state.request:cancel() end
    if state.wait then state.wait:cancel() end
  end
  self.watches, self.reads = {}, {}
  self.problems:clear_prefix("feeds/")
end

return M
