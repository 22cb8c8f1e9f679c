--- How an agent ends: for a restart (stop), or for good (leave).
--
--   stop     SIGTERM: resigns, keeps its session, leaves the applications to the keeper
--   leave    SIGINT, `appmgr leave`: resigns, stops the applications, says farewell, ends its session
--
-- The functions work on the agent (node/agent.lua), whose parts they end in the order in which that does no harm.

local notify = require("appmgr.node.notify")

local M = {}

--- How long the answer to `leave` may take to reach its client.
local FAREWELL_MS <const> = 50

--- Ends what runs by itself, so that nothing begins any more.
local function quiesce(self)
  for _, name in ipairs({ "recall_timer", "probe", "sampler" }) do
    if self[name] then self[name]:cancel() end
    self[name] = nil
  end
  for _, name in ipairs({ "old_output", "policy_source", "policies", "lease", "leader", "assignment", "membership", "failing" }) do
    if self[name] then self[name]:stop() end
  end
end

local function finish(self)
  if self.is_finished then return end
  self.is_finished = true
  for _, name in ipairs({ "usage", "report", "election", "cluster", "session" }) do
    if self[name] then self[name]:stop() end
  end
  self.apps:close()
  self.control:close()
  self.core.log.info(('agent of node "%s" ends'):format(self.node))
  self.core.loop.stop()
end

local function resign(self, callback)
  if not self.election_started then return callback() end
  self.election:resign(function(_, err)
    if err then
      self.core.log.warn(("the leadership could not be handed over: %s; it ends with this node's session"):format(err.message))
    end
    callback()
  end)
end

--- A second request to end does not wait for what the first one began.
local function finish_at_once(self)
  self.core.log.warn(self.is_leaving
    and "ending at once, while leaving: the keeper goes on stopping the applications; in Consul this node's keys stay until"
      .. " its session ends, its catalog node until an agent of this node leaves"
    or "ending at once: the leadership, if this node has it, ends with its session")
  finish(self)
end

--- Ends this agent for a restart or an upgrade: it resigns; session, keys and applications stay.
-- A second call does not wait for Consul, nor for applications that are being stopped.
-- @tparam Agent self
function M.stop(self)
  if self.is_finished then return end
  if self.is_ending then return finish_at_once(self) end
  self.is_ending = true
  notify.tell(self.core, "STOPPING=1")
  self.core.log.info("ending; applications go on under the keeper")
  resign(self, function() finish(self) end)
  quiesce(self)
end

--- Leaves Consul: says so, and ends the session with its keys.
local function end_membership(self, callback)
  self.membership:say_farewell(self.session:last_id(), function()
    self.session:destroy(function(_, err) callback(err) end)
  end)
end

--- Takes this node out of the cluster: resigns, stops its applications, removes its keys, session and catalog
-- node, and ends.
-- @tparam Agent self
-- @tparam[opt] function callback ({node, stopped=number} | nil, err), called before the agent ends
function M.leave(self, callback)
  callback = callback or function() end
  if self.is_ending then return callback(nil, "this agent is already ending") end
  self.is_ending, self.is_leaving = true, true
  notify.tell(self.core, "STOPPING=1")
  local count = self.apps:count()
  self.core.log.info(("leaving; %d %s stopped"):format(count, count == 1 and "application is" or "applications are"))
  local function farewell(err)
    if err then self.core.log.warn("leaving: " .. err) end
    callback({ node = self.node, stopped = count, warning = err })
    self.core.timer.after(FAREWELL_MS, function() finish(self) end)
  end
  local function give_up_session()
    self.state:forget_assignment()
    if not self.session then return farewell() end
    self.report:stop()
    end_membership(self, farewell)
  end
  resign(self, function() self.apps:stop_all(give_up_session) end)
  quiesce(self)
end

--- Takes the node out of the cluster; asked again, ends at once.
-- @tparam Agent self
function M.interrupt(self)
  if self.is_ending then return M.stop(self) end
  M.leave(self)
end

return M
