--- A second policy beside the one in use: a planner of its own sees the same answers of Consul, and says after each audit how
-- many replicas it would put elsewhere. It decides nothing; when it fails, that is all that happens.
local frame = require("appmgr.planner.frame")

local M = {}

-- It places the whole cluster from nothing.
local INTERVAL_MS <const> = 10000
local DEADLINE_MS <const> = 30000

local Shadow = {}
Shadow.__index = Shadow

--- @tparam table deps `timer`, `planner` (core.planner), `codec`, `now` (function → unix s), `node`, `prefix` (of keys), `cluster` (id())
-- @treturn Shadow that does nothing until `start`
function M.new(deps)
  return setmetatable({ deps = deps, timer = deps.timer }, Shadow)
end

local function cancel(self, name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

local function fail(self, reason)
  local policy = self.policy
  self:stop()
  self.policy, self.last = policy, { policy = policy.name, error = reason }
end

local function send(self, header, body)
  self.planner:send(frame.encode(header, body))
end

local function compare(self)
  self.is_asked, self.is_due = true, false
  self.deadline = self.timer.after(DEADLINE_MS, function()
    self.deadline = nil
    fail(self, ("it did not compare within %d s; it is left alone until the next reload"):format(DEADLINE_MS // 1000))
  end)
  send(self, { type = "compare", now = self.deps.now(), known_cluster = self.deps.cluster:id() })
end

local function compare_when_due(self)
  if self.is_due and self.configured and not self.is_asked and not self.pause then compare(self) end
end

local ON_MESSAGE = {}

function ON_MESSAGE.configured(self, header)
  if not header.ok then return fail(self, tostring(header.error)) end
  self.configured = true
  compare_when_due(self)
end

function ON_MESSAGE.comparison(self, header)
  cancel(self, "deadline")
  self.is_asked = false
  if header.frozen then
    self.is_due = true -- something has not been read yet, or the store is in doubt: after the next feed
    return
  end
  self.last = {
    policy = self.policy.name, at = self.deps.now(), elsewhere = header.elsewhere, replicas = header.replicas,
    outcome = header.outcome, outcome_message = header.outcome_message,
  }
  self.pause = self.timer.after(INTERVAL_MS, function()
    self.pause = nil
    compare_when_due(self)
  end)
end

function ON_MESSAGE.error(self, header)
  fail(self, "its planner said: " .. tostring(header.message))
end

local function take_message(self, bytes)
  local header = frame.decode(bytes)
  local take = header and ON_MESSAGE[header.type]
  if not take then return fail(self, "its planner wrote nonsense") end
  take(self, header)
end

--- Begins with a policy, before the first feed. One that runs is ended.
-- @tparam ?table policy {name, source, options}; nil: no shadow
function Shadow:start(policy)
  self:stop()
  self.policy, self.last = policy, nil
  if not policy then return end
  local planner, err
  planner, err = self.deps.planner.start({
    on_message = function(bytes)
      if planner and planner == self.planner then take_message(self, bytes) end
    end,
    on_exit = function(reason)
      if planner and planner == self.planner then
        self.planner = nil
        fail(self, "its planner ended: " .. tostring(reason))
      end
    end,
  })
  if not planner then return fail(self, "its planner cannot be started: " .. tostring(err)) end
  self.planner = planner
  send(self, {
    type = "configure", node = self.deps.node, prefix = self.deps.prefix, follows = true,
    policy = { name = policy.name, options = policy.options, hash = self.deps.codec.sha256(policy.source) },
  }, policy.source)
end

--- Sees what the planner in use is fed. What is assigned is known from an audit.
function Shadow:feed(header, body)
  if not self.planner then return end
  send(self, header, body)
  self.is_due = self.is_due or header.topic == "audit"
  compare_when_due(self)
end

--- Ends it; what it said last is forgotten by the next start.
function Shadow:stop()
  cancel(self, "deadline")
  cancel(self, "pause")
  local planner = self.planner
  self.planner, self.configured, self.is_asked, self.is_due = nil, false, false, false
  if planner then planner:kill() end
end

--- What `status` shows.
-- @treturn ?table nil without a shadow; else {policy, and once known: at, elsewhere, replicas, outcome, or error}
function Shadow:status()
  return self.policy and (self.last or { policy = self.policy.name }) or nil
end

return M
