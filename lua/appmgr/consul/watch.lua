--- A long poll on one key or tree: tells what stands there each time it changes.
--
-- The loop is the one that Consul's documentation asks for and that was measured:
-- an index that is missing counts as 1, one that goes backwards starts over, an
-- error waits longer each time and keeps what was known. What is delivered are
-- Consul's bytes; nothing is parsed here.
local bucket = require("appmgr.consul.bucket")

local M = {}

local Watch = {}
Watch.__index = Watch

local WAIT_S = 25
local BACKOFF_FIRST_MS = 200
local BACKOFF_CEILING_MS = 15000
-- Wakes without a change: ten at once, then one a second. A poll on what does not exist wakes for every key of the
-- store, and while a cluster forms that is what happens: a smaller burst made each node wait a second for its first
-- assignment.
local IDLE_BURST, IDLE_PER_MS = 10, 0.001
-- Handling news may take a tenth of a core, and half a second at once.
local WORK_BURST_MS, WORK_PER_MS = 500, 0.1

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `key`, `recurse`, `keys`, `consistent` (the read
--   that begins is consistent), `wait_s` (how long Consul may hold a request, default 25), `fallback_ms` (longest wait
--   between two tries after errors), `deliver` (function({status, index, body}), called when the bytes differ from those
--   before), `on_error` (function(err), once for each kind of error; function(nil) when it is over)
-- @treturn Watch
function M.new(deps)
  return setmetatable({
    client = deps.client, timer = deps.timer, random = deps.random,
    key = deps.key, recurse = deps.recurse, keys = deps.keys, consistent = deps.consistent,
    wait_s = deps.wait_s or WAIT_S,
    ceiling_ms = math.min(deps.fallback_ms or BACKOFF_CEILING_MS, BACKOFF_CEILING_MS),
    deliver = deps.deliver, on_error = deps.on_error, running = false, generation = 0,
  }, Watch)
end

local poll

local function poll_after(self, delay_ms)
  if delay_ms <= 0 then return poll(self) end
  self.wait = self.timer.after(delay_ms, function()
    self.wait = nil
    poll(self)
  end)
end

--- What makes two errors the same one for people: not their wording, which may hold times.
local function error_identity(err)
  return ("%s %s %s"):format(err.kind, err.status or "", err.code or "")
end

local function failed(self, err)
  local identity = error_identity(err)
  if identity ~= self.error_told then
    self.error_told = identity
    if self.on_error then self.on_error(err) end
  end
  local longest = math.min(self.ceiling_ms, BACKOFF_FIRST_MS * 2 ^ math.min(self.failures, 16))
  self.failures = self.failures + 1
  self.index = 0
  poll_after(self, math.ceil(longest * (1 - self.random() / 4)))
end

local function recovered(self)
  self.failures = 0
  if not self.error_told then return end
  self.error_told = nil
  if self.on_error then self.on_error(nil) end
end

--- Delivers what differs from the last delivery.
-- @treturn boolean whether it did
-- @treturn ?string the receiver's error with its traceback
local function deliver_news(self, answer, index)
  local fingerprint = answer.status .. " " .. self.client:fingerprint(answer.body)
  if fingerprint == self.last then return false end
  self.last = fingerprint
  local began_ms = self.timer.now_ms()
  local told = { status = answer.status, index = index, body = answer.body }
  -- A fault in the receiver must not end the loop: it is told, and what it did not take comes again.
  local taken, fault = xpcall(self.deliver, debug.traceback, told)
  self.work:take(self.timer.now_ms() - began_ms)
  return true, not taken and fault or nil
end

local function answered(self, answer)
  local generation = self.generation
  local index = answer.index
  if not index or index < 1 then index = 1 end
  local backwards = index < self.index
  self.index = backwards and 0 or index
  local news, fault
  if not backwards then news, fault = deliver_news(self, answer, index) end
  if generation ~= self.generation then return end
  if fault then
    self.last = nil
    local message = ("what Consul says of %s was not handled: %s"):format(self.key, fault)
    return failed(self, { kind = "fault", message = message })
  end
  recovered(self)
  if generation ~= self.generation then return end
  if not news then self.idle:take(1) end
  poll_after(self, news and self.work:wait_ms(0) or self.idle:wait_ms(0))
end

function poll(self)
  local generation = self.generation
  self.request = self.client:get(self.key, {
    recurse = self.recurse, keys = self.keys, index = self.index, wait_s = self.wait_s,
    consistent = self.consistent and self.index == 0,
  }, function(answer, err)
    if generation ~= self.generation then return end
    self.request = nil
    if answer then answered(self, answer) else failed(self, err) end
  end)
end

--- Begins, also again after a stop: what stands there then is delivered anew.
function Watch:start()
  assert(not self.running, "the watch runs already")
  self.running = true
  self.index, self.failures, self.last, self.error_told = 0, 0, nil, nil
  self.idle = bucket.new({ timer = self.timer, burst = IDLE_BURST, per_ms = IDLE_PER_MS })
  self.work = bucket.new({ timer = self.timer, burst = WORK_BURST_MS, per_ms = WORK_PER_MS })
  poll(self)
end

--- Ends; nothing is delivered or told any more. May be called from `deliver`, and twice.
function Watch:stop()
  self.running = false
  self.generation = self.generation + 1
  if self.request then self.request:cancel() end
  if self.wait then self.wait:cancel() end
  self.request, self.wait = nil, nil
end

return M
