--- What the planner is fed with: Consul's answers, as they come.
--
-- task/, live/ and node/ are followed by long polls whose first read is
-- consistent; the status of hosts that a rollout waits for likewise. An audit is read
-- when asked: the keys of version/, and assignment/, topology/, confirm/, meta and leader in one
-- transaction, which shuts late batches out where need be (fence.lua); both are delivered together.
--
-- confirm/ is followed only while something waits for a confirmation.
-- How loaded nodes are is read for policies that look at it, see telemetry.lua. Nothing is parsed here.
local Telemetry = require("appmgr.leader.telemetry")
local Watch = require("appmgr.consul.watch")

local M = {}

local Feeds = {}
Feeds.__index = Feeds

local TREES = { "task", "live", "node" }
local RETRY_FIRST_MS, RETRY_CEILING_MS = 500, 5000
-- A rollout follows one host after the other. Consul does not notice that a long poll was given up: until its wait is
-- over it counts as one of the 200 connections that a host may have, so these waits are short.
local STATUS_WAIT_S = 5

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `problems`, `fallback_ms`, `on_feeds`
--   (function(array of {header {topic, host, status, index, writes}, body})), `writes` (function → a number that grows
--   when a write begins and when it ends: an audit carries the one from when it was asked for), `fence` (leader/fence.lua;
--   nil: nothing is decided from it), `may_write` (function → boolean), `on_refused` (function(): Consul says that the leader
--   is another one); these two with a fence
-- @treturn Feeds
function M.new(deps)
  local telemetry = Telemetry.new({
    client = deps.client, timer = deps.timer, problems = deps.problems, interval_ms = deps.fallback_ms, on_feeds = deps.on_feeds,
  })
  return setmetatable({
    telemetry = telemetry, client = deps.client, timer = deps.timer, random = deps.random, problems = deps.problems,
    fallback_ms = deps.fallback_ms, on_feeds = deps.on_feeds, writes = deps.writes, fence = deps.fence,
    may_write = deps.may_write, on_refused = deps.on_refused,
    watches = {}, status_watches = {}, failures = 0, is_due_again = false, generation = 0,
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
      self.on_feeds({ {
        header = { topic = header.topic, host = header.host, status = answer.status, index = answer.index },
        body = answer.body,
      } })
    end,
    on_error = function(err) tell(self, name, err) end,
  })
end

-- The audit, tried until it succeeds -----------------------------------------

--- A read that Consul refuses (409) is an error: it means a missing permission.
local function refusal(self, body)
  local answer = self.client.transaction_answer(body)
  local first = answer and answer.errors[1]
  return { kind = "http", status = 409, message = first and first.message or "Consul refused the transaction" }
end

local AUDITED = { "assignment/", "topology/", "confirm/", "meta", "leader" }

--- Sends the transaction of an audit.
local function send_transaction(self, fencing, callback)
  local operations = fencing or {}
  for _, tree in ipairs(AUDITED) do operations[#operations + 1] = { verb = "get-tree", key = tree } end
  return self.client:transaction(self.client.encode_transaction(operations), {
    consistent = true, guard = fencing and self.may_write or nil,
  }, callback)
end

--- Sends both reads of an audit.
-- @tparam ?{table,...} fencing see Fence:operations
-- @tparam function callback (answers {version, audit} | nil, err)
-- @treturn table handle with cancel()
local function send_audit(self, fencing, callback)
  local answers, requests, handle = {}, {}, {}
  function handle.cancel()
    for _, request in pairs(requests) do request:cancel() end
  end
  local function take(topic)
    return function(answer, err)
      requests[topic] = nil
      if answer and answer.status == 409 then answer, err = nil, refusal(self, answer.body) end
      answers[topic] = answer
      if not answer then
        handle.cancel()
        return callback(nil, err)
      end
      if answers.version and answers.audit then callback(answers) end
    end
  end
  requests.version = self.client:get("version/", { keys = true, consistent = true }, take("version"))
  requests.audit = send_transaction(self, fencing, take("audit"))
  return handle
end

local read

local function read_later(self, delay_ms)
  self.audit_wait = self.timer.after(math.ceil(delay_ms), function()
    self.audit_wait = nil
    read(self)
  end)
end

local function cancel(self, name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

function read(self)
  local generation, writes = self.generation, self.writes()
  local fencing, doubts
  if self.fence then fencing, doubts = self.fence:operations() end
  cancel(self, "audit_wait")
  self.is_due_again = false
  self.auditing = send_audit(self, fencing, function(answers, err)
    self.auditing = nil
    tell(self, "audit", err)
    if not answers then
      if fencing and err.status == 409 then self.on_refused() end
      local longest = math.min(RETRY_CEILING_MS, RETRY_FIRST_MS * 2 ^ math.min(self.failures, 8))
      self.failures = self.failures + 1
      return read_later(self, longest * (1 - self.random() / 4))
    end
    self.failures = 0
    if fencing then self.fence:settle(doubts) end
    local feeds = {}
    for position, topic in ipairs({ "version", "audit" }) do
      local answer = answers[topic]
      feeds[position] = {
        header = { topic = topic, status = answer.status, index = answer.index, writes = writes }, body = answer.body,
      }
    end
    self.on_feeds(feeds)
    if self.is_due_again and generation == self.generation then read(self) end
  end)
end

-- Public --------------------------------------------------------------------

--- Begins; everything is delivered once, then what changes.
function Feeds:start()
  for _, topic in ipairs(TREES) do
    self.watches[topic] = new_watch(self, topic .. "/", { topic = topic }, true)
    self.watches[topic]:start()
  end
  self:audit()
end

--- Reads what is assigned, who this store is, and which versions it has: now, or after a read that is under way.
function Feeds:audit()
  if self.auditing then
    self.is_due_again = true
  elseif self.failures == 0 then
    read(self)
  end
end

--- What an audit read is of no use, because something was written meanwhile: it is read again in a moment, so that a
-- leader which writes all the time does not read all the time as well.
function Feeds:audit_later()
  if not self.audit_wait then read_later(self, RETRY_FIRST_MS) end
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

--- Follows what operators confirm, or no more.
-- @tparam boolean wanted
function Feeds:follow_confirmations(wanted)
  local watch = self.confirm_watch
  if wanted and not watch then
    self.confirm_watch = new_watch(self, "confirm/", { topic = "confirm" }, true)
    self.confirm_watch:start()
  elseif watch and not wanted then
    watch:stop()
    tell(self, "confirm", nil)
    self.confirm_watch = nil
  end
end

--- Reads how loaded these hosts are, once in an interval, and of no others.
-- @tparam table hosts array of names; empty when the policy does not look at that
function Feeds:follow_load(hosts)
  self.telemetry:follow(hosts)
end

--- Ends everything; nothing is delivered any more. May be started again.
function Feeds:stop()
  self.generation = self.generation + 1
  self:follow_confirmations(false)
  self:follow_status({})
  self:follow_load({})
  for _, watch in pairs(self.watches) do watch:stop() end
  cancel(self, "auditing")
  cancel(self, "audit_wait")
  self.watches, self.failures, self.is_due_again = {}, 0, false
  self.problems:clear_prefix("feeds/")
end

return M
