--- Tries a policy in a planner of its own, which is given everything and whose answer is written nowhere.
--
--   start ──configured──▶ feeding ──everything is there──▶ asked ──▶ on_end(answer)
--
-- The planner in use goes on meanwhile. Whatever goes wrong, the answer says why; nothing outlives it.
local Feeds = require("appmgr.leader.feeds")
local frame = require("appmgr.planner.frame")

local M = {}

-- Everything has to be read, and then all of the cluster is placed, three times: how long that may take grows with what there is.
local DEADLINE_MS <const> = 10000
local BYTES_PER_MS <const> = 200
local NEEDED <const> = { "audit", "version", "task", "live", "node" }

local Trial = {}
Trial.__index = Trial

local function cancel(self)
  if self.deadline then self.deadline:cancel() end
  self.deadline = nil
  self.feeds:stop()
  local planner = self.planner
  self.planner = nil
  if planner then planner:kill() end
end

local function finish(self, answer)
  if self.is_over then return end
  self.is_over = true
  cancel(self)
  self.on_end(answer)
end

local function fail(self, reason)
  finish(self, { ok = false, error = reason })
end

local function expect_end(self, longest_ms)
  if self.deadline then self.deadline:cancel() end
  self.deadline = self.timer.after(longest_ms, function()
    self.deadline = nil
    fail(self, ("it did not come to an end within %d s: %s"):format(longest_ms // 1000, self.why_late()))
  end)
end

local function ask_when_fed(self)
  if not self.configured or self.asked then return end
  for _, topic in ipairs(NEEDED) do
    if not self.fed[topic] then return end
  end
  self.asked = true
  expect_end(self, DEADLINE_MS + self.bytes // BYTES_PER_MS)
  self.planner:send(frame.encode({ type = "trial", known_cluster = self.known_cluster, now = self.now() }))
end

local ON_MESSAGE = {}

function ON_MESSAGE.configured(self, header)
  if not header.ok then return fail(self, tostring(header.error)) end
  self.configured = true
  ask_when_fed(self)
end

function ON_MESSAGE.trial(self, header)
  finish(self, header)
end

function ON_MESSAGE.error(self, header)
  fail(self, "the planner said: " .. tostring(header.message))
end

local function take_message(self, bytes)
  if self.is_over then return end
  local header, reason = frame.decode(bytes)
  local take = header and ON_MESSAGE[header.type]
  if not take then return fail(self, "the planner wrote nonsense: " .. tostring(reason or header.type)) end
  take(self, header)
end

local function new_feeds(self, deps)
  local last_error
  -- What cannot be read ends as a deadline that says so; the leader's own feeds tell it as a problem, too.
  local problems = {
    set = function(_, _, text) last_error = text end, clear = function() last_error = nil end, clear_prefix = function() end,
  }
  self.why_late = function() return last_error or "it took longer than that" end
  return Feeds.new({
    client = deps.client, timer = deps.timer, random = deps.random, problems = problems, fallback_ms = deps.fallback_ms,
    writes = function() return 0 end,
    on_feeds = function(list)
      if self.asked or self.is_over then return end
      for _, item in ipairs(list) do
        self.fed[item.header.topic] = true
        self.bytes = self.bytes + #item.body
        self.planner:send(frame.encode({
          type = "feed", topic = item.header.topic, status = item.header.status, index = item.header.index,
        }, item.body))
      end
      ask_when_fed(self)
    end,
  })
end

--- Begins a trial.
-- @tparam table deps `client`, `timer`, `random`, `fallback_ms`, `planner` (core.planner), `codec`, `now` (function → unix s),
--   `node`, `known_cluster` (id or nil)
-- @tparam table policy {name, source, options, hash}
-- @tparam function on_end function(answer): once, never from inside of `start`; `ok`, `error`, and what planner/trial.lua adds
-- @treturn table handle with cancel(): on_end is not called any more
function M.start(deps, policy, on_end)
  local self = setmetatable({
    on_end = on_end, timer = deps.timer, now = deps.now, known_cluster = deps.known_cluster, fed = {}, bytes = 0,
    configured = false,
  }, Trial)
  self.feeds = new_feeds(self, deps)
  expect_end(self, DEADLINE_MS)
  local planner, err
  planner, err = deps.planner.start({
    on_message = function(bytes)
      if planner and planner == self.planner then take_message(self, bytes) end
    end,
    on_exit = function(reason)
      if planner and planner == self.planner then
        self.planner = nil
        fail(self, "the planner ended: " .. tostring(reason))
      end
    end,
  })
  self.planner = planner
  if planner then
    planner:send(frame.encode({
      type = "configure", node = deps.node, prefix = deps.client.prefix,
      policy = { name = policy.name, options = policy.options, hash = policy.hash },
    }, policy.source))
    self.feeds:start()
  else
    deps.timer.after(0, function() fail(self, "no planner can be started: " .. tostring(err)) end)
  end
  return { cancel = function()
    self.is_over = true
    cancel(self)
  end }
end

return M
