--- Tries a policy in a planner of its own (beside.lua), which is given everything and whose answer is written nowhere.
--
--   start ──configured──▶ feeding ──everything is there──▶ asked ──▶ on_end(answer)
--
-- The planner in use goes on meanwhile. Whatever goes wrong, the answer says why; nothing outlives it.
local Beside = require("appmgr.leader.beside")
local Feeds = require("appmgr.leader.feeds")

local M = {}

-- Everything has to be read, and then all of the cluster is placed, three times: how long that may take grows with what there is.
local DEADLINE_MS <const> = 10000
local BYTES_PER_MS <const> = 200
local NEEDED <const> = { "audit", "version", "task", "live", "node" }

local Trial = {}
Trial.__index = Trial

local function cancel(self)
  self.feeds:stop()
  if self.planner then self.planner:stop() end
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
  self.planner:expect(longest_ms, function()
    return ("it did not come to an end within %d s: %s"):format(longest_ms // 1000, self.why_late())
  end)
end

local function ask_when_fed(self)
  if not self.planner.is_configured or self.asked then return end
  for _, topic in ipairs(NEEDED) do
    if not self.fed[topic] then return end
  end
  self.asked = true
  expect_end(self, DEADLINE_MS + self.bytes // BYTES_PER_MS)
  self.planner:send({ type = "trial", known_cluster = self.known_cluster, now = self.now() })
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
        self.planner:send({
          type = "feed", topic = item.header.topic, status = item.header.status, index = item.header.index,
        }, item.body)
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
    on_end = on_end, now = deps.now, known_cluster = deps.known_cluster, fed = {}, bytes = 0,
  }, Trial)
  self.feeds = new_feeds(self, deps)
  local where = { timer = deps.timer, planner = deps.planner, node = deps.node, prefix = deps.client.prefix }
  local planner, err = Beside.start(where, policy, {
    on_fail = function(reason) fail(self, reason) end,
    on_message = {
      configured = function() ask_when_fed(self) end,
      trial = function(header) finish(self, header) end,
    },
  })
  self.planner = planner
  if planner then
    expect_end(self, DEADLINE_MS)
    self.feeds:start()
  else
    deps.timer.after(0, function() fail(self, err) end)
  end
  return { cancel = function()
    self.is_over = true
    cancel(self)
  end }
end

return M
