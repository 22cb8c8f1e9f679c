--- This node's Consul session: made, renewed, kept across restarts, made again when lost.
--
-- One session carries all that lives as long as this agent: its status, its
-- place among the live, the leadership. Its lease is counted by our own clock
-- (CLOCK_BOOTTIME) from the moment before the last good renewal was sent, so
-- that an agent that was frozen or cut off stops trusting it before Consul does.
--
-- States: off → starting (a try, or a wait for the next) → held → starting … → ended.
local phase = require("appmgr.phase")

local M = {}

local Session = {}
Session.__index = Session

local DEFAULT_TTL_S = 30
local RETRY_FIRST_MS, RETRY_CEILING_MS = 500, 5000
local SHORTEST_LIFE_MS = 1000
local SHORTEST_TIMEOUT_MS, LONGEST_TIMEOUT_MS = 2000, 10000

--- @tparam table deps `client`, `timer`, `log`, `problems`, `random` (function → [0,1)), `state` (get, set of
--   `session`), `host` (machine_id, boot_id, hostname), `config` (the `Consul` block), `node` (name), `on_held` (function(id)),
--   `on_renewed` (function(sent_ms): Consul answered that it is good, to what was sent then),
--   `on_lost` (function(reason)): told when Consul no longer knows the session; a new one is then made at once
-- @treturn Session
function M.new(deps)
  local config = deps.config
  return setmetatable({
    client = deps.client, timer = deps.timer, log = deps.log, problems = deps.problems,
    random = deps.random or math.random, state = deps.state, host = deps.host, node = deps.node,
    on_held = deps.on_held, on_lost = deps.on_lost, on_renewed = deps.on_renewed,
    configured_ttl_ms = (config.session_TTL or DEFAULT_TTL_S) * 1000,
    lock_delay = config.lock_delay or "0s",
    configured_node = config.session_node, own_node = "appmgr-" .. deps.node,
    phase = "off", failures = 0, lease_ms = 0, settled_ms = 0, replaces = false,
  }, Session)
end

local try, create

--- Wraps a callback so that it is dropped once the session went on to something else.
local function backoff_ms(self, ceiling_ms)
  local longest = math.min(ceiling_ms, RETRY_FIRST_MS * 2 ^ math.min(self.failures, 10))
  self.failures = self.failures + 1
  return math.ceil(longest * (1 - self.random() / 4))
end

--- A renewal that takes longer than its rhythm is worth less than the next one.
local function renewal_timeout_ms(self)
  return math.floor(math.max(SHORTEST_TIMEOUT_MS, math.min(LONGEST_TIMEOUT_MS, self.ttl_ms / 3)))
end

local function identity_matches(self, kept)
  return type(kept) == "table" and type(kept.id) == "string"
    and kept.machine_id == self.host.machine_id() and kept.boot_id == self.host.boot_id()
end

-- Holding -------------------------------------------------------------------

--- "30s" as Consul tells it, in ms; nil for what is no such text.
local function parse_ttl_ms(text)
  local seconds = type(text) == "string" and tonumber(text:match("^(%d+%.?%d*)s$"))
  return seconds and math.floor(seconds * 1000)
end

--- Notes a good renewal; a server under load may have answered with a larger TTL.
local function extend(self, entry, sent_ms)
  self.ttl_ms = parse_ttl_ms(entry.TTL) or self.ttl_ms
  self.lease_ms = sent_ms + math.min(self.ttl_ms, self.configured_ttl_ms)
  self.failures = 0
  self.problems:clear("session")
  if self.on_renewed then self.on_renewed(sent_ms) end
end

--- An outage is over that was long enough to end sessions, be it ours or only those of others.
local function settle(self)
  self.settled_ms = self.timer.now_ms() + self.configured_ttl_ms
end

local renew

local function rhythm_ms_of(self)
  return math.min(self.ttl_ms // 3, self.longest_rhythm_ms or math.huge)
end

local function renew_later(self, sent_ms)
  self.due_ms = sent_ms + rhythm_ms_of(self)
  phase.after(self, math.max(0, self.due_ms - self.timer.now_ms()), renew)
end

local function lost(self, reason)
  local id = self.session_id
  self.session_id, self.lease_ms, self.phase, self.replaces = nil, 0, "starting", true
  self.log.warn(("Consul session %s is lost: %s"):format(id, reason))
  self.state:set("session", nil)
  local go_on = phase.current(self, function()
    -- At once, unless sessions are lost as soon as they are made.
    local rest_ms = self.held_ms + SHORTEST_LIFE_MS - self.timer.now_ms()
    if rest_ms <= 0 then return try(self) end
    phase.after(self, rest_ms, try)
  end)
  if self.on_lost then self.on_lost(reason) end
  go_on()
end

local function renewal_failed(self, err)
  local left_ms = self.lease_ms - self.timer.now_ms()
  self.problems:set("session", left_ms > 0
    and ("Consul session cannot be renewed: %s; it is tried again until it ends"):format(err.message)
    or ("Consul session was not renewed in time: %s; nothing is stopped, and it is tried on"):format(err.message))
  phase.after(self, math.min(backoff_ms(self, RETRY_CEILING_MS), rhythm_ms_of(self)), renew)
end

function renew(self)
  local sent_ms = self.timer.now_ms()
  self.request = self.client:session_renew(self.session_id, { timeout_ms = renewal_timeout_ms(self) },
    phase.current(self, function(entry, err)
      self.request = nil
      if entry then
        if sent_ms > self.lease_ms then settle(self) end
        extend(self, entry, sent_ms)
        renew_later(self, sent_ms)
      elseif entry == false then
        lost(self, "Consul does not know it any more")
      else
        renewal_failed(self, err)
      end
    end))
end

local function hold(self, id, entry, sent_ms)
  self.session_id, self.phase, self.held_ms = id, "held", self.timer.now_ms()
  self.ttl_ms = self.configured_ttl_ms
  extend(self, entry, sent_ms)
  renew_later(self, sent_ms)
  if self.on_held then self.on_held(id) end
end

-- Beginning -----------------------------------------------------------------

local function beginning_failed(self, what, err)
  self.problems:set("session", ("no Consul session: %s: %s; local applications run, and it is tried on"):format(
    what, err.message))
  phase.after(self, backoff_ms(self, RETRY_CEILING_MS), try)
end

local function keep(self, id)
  self.made_at = self.timer.wall_ms() // 1000
  self.state:set("session", {
    id = id, node = self.bound_node, machine_id = self.host.machine_id(), boot_id = self.host.boot_id(), made_at = self.made_at,
  })
end

--- The session is bound to the node of the Consul client that was asked: it dies with that client.
local function fall_back(self, permission)
  self.missing_permission = ('%s on "%s"'):format(permission, self.own_node)
  create(self)
end

--- Says what the session depends on beside this agent.
local function tell_bound_node(self)
  if not self.missing_permission then return self.problems:clear("session-node") end
  local text = "the session is bound to the Consul client's own node and dies when that client restarts, because the"
    .. " token lacks %s; grant it, or set Consul.session_node"
  self.problems:set("session-node", text:format(self.missing_permission))
end

local function created(self, id, sent_ms)
  keep(self, id)
  tell_bound_node(self)
  if self.replaces then settle(self) end
  self.log.info(("Consul session %s made, %s"):format(id,
    self.bound_node and "on node " .. self.bound_node or "on the node of the Consul client"))
  hold(self, id, {}, sent_ms)
end

function create(self)
  self.bound_node = self.configured_node or not self.missing_permission and self.own_node or nil
  local sent_ms = self.timer.now_ms()
  self.request = self.client:session_create({
    Name = self.own_node, Node = self.bound_node, TTL = ("%ds"):format(self.configured_ttl_ms // 1000),
    Behavior = "delete", LockDelay = self.lock_delay, NodeChecks = self.client.json.array({}),
  }, phase.current(self, function(id, err)
    self.request = nil
    if id then return created(self, id, sent_ms) end
    if err.status == 403 and self.bound_node == self.own_node then
      return fall_back(self, "session:write")
    end
    beginning_failed(self, "it cannot be made", err)
  end))
end

--- Enters our own external node into the catalog, to bind the session to.
local function register(self)
  self.request = self.client:catalog_register({
    Node = self.own_node, Address = self.host.hostname(),
    NodeMeta = { ["external-node"] = "true", ["external-probe"] = "false" },
  }, phase.current(self, function(registered, err)
    self.request = nil
    if registered then return create(self) end
    if err and err.status == 403 then
      return fall_back(self, "node:write")
    end
    beginning_failed(self, "the catalog node cannot be registered", err or { message = "Consul answered false" })
  end))
end

--- A new session. What the token may do is asked anew each time.
local function begin(self)
  self.missing_permission = nil
  if self.configured_node then return create(self) end
  register(self)
end

--- Takes up the session of the agent that ran here before.
local function take_up(self, kept)
  local sent_ms = self.timer.now_ms()
  self.request = self.client:session_renew(kept.id, nil, phase.current(self, function(entry, err)
    self.request = nil
    if entry then
      self.log.info(("Consul session %s taken up again"):format(kept.id))
      self.bound_node, self.made_at = kept.node, kept.made_at
      return hold(self, kept.id, entry, sent_ms)
    end
    if err then return beginning_failed(self, "the one of before cannot be renewed", err) end
    self.state:set("session", nil)
    begin(self)
  end))
end

function try(self)
  local kept = self.state:get("session")
  self.replaces = self.replaces or kept ~= nil
  if identity_matches(self, kept) then return take_up(self, kept) end
  begin(self)
end

-- Public --------------------------------------------------------------------

--- Begins: takes up the session of before, or makes one; tries until it has one.
function Session:start()
  assert(self.phase == "off", "the session was started before")
  self.phase = "starting"
  try(self)
end

--- @treturn ?string the session's id while it is held
function Session:id()
  return self.session_id
end

--- Since when there is the session that is held: what was given to this node's name before that was given to who had it then.
-- @treturn ?integer unix s; nil while that is not known
function Session:since()
  return self.made_at
end

--- Until when it may be relied upon.
-- @treturn number ms of timer.now_ms(); 0 when none is held
function Session:lease_until_ms()
  return self.lease_ms
end

--- Whether less than a TTL has passed since this agent got back a session that it had lost, or could not renew in
-- time. What did that may have ended the sessions of other agents, too: they may be about to make new ones, and a node
-- that is absent is not a dead one.
-- @treturn boolean
function Session:is_settling()
  return self.timer.now_ms() < self.settled_ms
end

--- Something says that the session may be gone: it is renewed now and not at its next turn.
function Session:check()
  if self.phase ~= "held" or self.request then return end
  if self.wait then self.wait:cancel() end
  self.wait = nil
  renew(self)
end

--- The node speaks with Consul anyway: the session is renewed along with that when it would be due before the next time.
-- Waking twice costs more than renewing a little earlier.
-- @tparam integer next_ms until the next time
function Session:renew_along(next_ms)
  if self.failures == 0 and self.phase == "held" and self.due_ms - self.timer.now_ms() < next_ms then self:check() end
end

--- Renews at least so often; somebody counts on a session that was good a moment ago.
-- @tparam ?integer rhythm_ms nil: as often as the session itself needs it
function Session:renew_within(rhythm_ms)
  local is_shorter = rhythm_ms and rhythm_ms < (self.longest_rhythm_ms or math.huge)
  self.longest_rhythm_ms = rhythm_ms
  if is_shorter then self:check() end
end

--- Stops renewing and leaves the session as it is, for the agent that comes next.
function Session:stop()
  phase.enter(self, "ended")
end

local function reason_of(err)
  return err and err.message or "Consul refused"
end

--- Removes the catalog node unless another session is bound to it (another agent of the same name).
local function remove_node(self, bound_node, callback)
  if bound_node ~= self.own_node then return callback(true) end
  local function failed(err)
    callback(nil, ('the catalog node "%s" could not be removed: %s; it does no harm, and goes when an agent of this node'
      .. " leaves"):format(self.own_node, reason_of(err)))
  end
  local patience = { timeout_ms = SHORTEST_TIMEOUT_MS }
  self.client:sessions_of_node(self.own_node, patience, function(sessions, err)
    if not sessions then return failed(err) end
    if #sessions > 0 then return callback(true) end
    self.client:catalog_deregister(self.own_node, patience, function(removed, why)
      if not removed then return failed(why) end
      self.bound_node = nil
      callback(true)
    end)
  end)
end

--- The session of this agent or, where it has not taken that up yet, of the agent before.
-- @tparam Session self
-- @treturn ?string id
-- @treturn ?string the catalog node that it is bound to
local function last_session(self)
  local kept = self.state:get("session")
  kept = identity_matches(self, kept) and kept or {}
  return self.session_id or kept.id, self.bound_node or kept.node
end

--- The session that keys of this node may be held by.
-- @treturn ?string its id; nil when there is none
function Session:last_id()
  return (last_session(self))
end

--- Ends the session and removes the catalog node; all keys held by it go too. A session of the agent before that could
-- not be taken up yet is ended likewise. Takes at most 6 s for each server.
-- @tparam function callback (true | nil, what could not be removed and what becomes of it)
function Session:destroy(callback)
  local id, bound_node = last_session(self)
  phase.enter(self, "ended")
  self.session_id, self.lease_ms = nil, 0
  if not id then return remove_node(self, bound_node, callback) end
  self.client:session_destroy(id, { timeout_ms = SHORTEST_TIMEOUT_MS }, function(ended, err)
    if ended then
      self.state:set("session", nil)
      return remove_node(self, bound_node, callback)
    end
    callback(nil, ("session %s and the keys it holds could not be removed: %s; they end by themselves within %d s%s"):format(
      id, reason_of(err), 2 * self.configured_ttl_ms // 1000, bound_node == self.own_node
        and ('; the catalog node "%s" does no harm, and goes when an agent of this node leaves'):format(self.own_node) or ""))
  end)
end

return M
