--- A second policy beside the one in use: a planner of its own (beside.lua) sees the same answers of Consul, and says after each
-- audit how many replicas it would put elsewhere. It decides nothing; when it fails, that is all that happens.
local Beside = require("appmgr.leader.beside")

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

local function fail(self, reason)
  local policy = self.policy
  self:stop()
  self.policy, self.last = policy, { policy = policy.name, error = reason }
end

local function why_late()
  return ("it did not compare within %d s; it is left alone until the next reload"):format(DEADLINE_MS // 1000)
end

local function compare_when_due(self)
  if not self.is_due or not self.planner.is_configured or self.is_asked or self.pause then return end
  self.is_asked, self.is_due = true, false
  self.planner:expect(DEADLINE_MS, why_late)
  self.planner:send({ type = "compare", now = self.deps.now(), known_cluster = self.deps.cluster:id() })
end

local function take_comparison(self, header)
  self.planner:settle()
  self.is_asked = false
  if header.frozen then
    self.is_due = true -- something has not been read yet, or the store is in doubt: after the next feed
    return
  end
  self.last = {
    policy = self.policy.name, at = self.deps.now(), elsewhere = header.elsewhere, replicas = header.replicas,
    failure = header.failure,
  }
  self.pause = self.timer.after(INTERVAL_MS, function()
    self.pause = nil
    compare_when_due(self)
  end)
end

--- Begins with a policy, before the first feed. One that runs is ended.
-- @tparam ?table policy {name, source, options}; nil: no shadow
function Shadow:start(policy)
  self:stop()
  self.policy, self.last = policy, nil
  if not policy then return end
  local described = {
    name = policy.name, source = policy.source, options = policy.options, hash = self.deps.codec.sha256(policy.source),
  }
  local planner, err = Beside.start(self.deps, described, {
    follows = true,
    on_fail = function(reason) fail(self, reason) end,
    on_message = {
      configured = function() compare_when_due(self) end,
      comparison = function(header) take_comparison(self, header) end,
    },
  })
  self.planner = planner
  if not planner then fail(self, err) end
end

--- Sees what the planner in use is fed. What is assigned is known from an audit.
function Shadow:feed(header, body)
  if not self.planner then return end
  self.planner:send(header, body)
  self.is_due = self.is_due or header.topic == "audit"
  compare_when_due(self)
end

--- Ends it; what it said last is forgotten by the next start.
function Shadow:stop()
  if self.pause then self.pause:cancel() end
  local planner = self.planner
  self.planner, self.pause, self.is_asked, self.is_due = nil, nil, false, false
  if planner then planner:stop() end
end

--- What `status` shows.
-- @treturn ?table nil without a shadow; else {policy, and once known: at, elsewhere, replicas, failure (the first task that it fails
-- for, and how), or error}
function Shadow:status()
  return self.policy and (self.last or { policy = self.policy.name }) or nil
end

return M
