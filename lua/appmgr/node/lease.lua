--- Until when replicas may run that must stop on a node without Consul (`on_disconnect`).
--
-- The keeper holds the deadline: this module hands on, in one short message for
-- all, when the last good renewal of the session was sent, and the keeper stops
-- each such replica its seconds after that, agent or not. What is held here is
-- the same account seen from the agent: it knows when the keeper has stopped
-- them, says so, and starts none of them
--
--   - before the session is good again and this node is among the live: from then on the leader gives its slots to nobody;
--   - before its assignment was read anew after that, past every cache: they may have been given away meanwhile;
--   - that were given to this node's name in another life, before those who may have them then have stopped them.
--
-- A renewal counts from the moment it was sent, by CLOCK_BOOTTIME, as the keeper's deadline does.
local M = {}

local Lease = {}
Lease.__index = Lease

--- The agent takes its own end of a lease a little early, so that the keeper's is no news to it.
local EARLY_MS <const> = 100
local CONFIRM_AGAIN_MS <const> = 1000
local NEVER <const> = -math.huge

--- @tparam table deps `timer`, `log`, `renew_within` (function(ms), see session.lua), `keeper` (function → core.process client, or nil
--   while there is none), `confirm` (function(callback(boolean)): reads the assignment; true when it is the one that is
--   in force), `on_change` (function(): `ruling` may answer otherwise)
-- @treturn Lease
function M.new(deps)
  return setmetatable({
    timer = deps.timer, log = deps.log, renew_within = deps.renew_within, keeper = deps.keeper,
    confirm = deps.confirm, on_change = deps.on_change, terms_s = {}, heard_ms = NEVER, good_ms = NEVER, round = 0,
  }, Lease)
end

--- When a lease of so many seconds ends, as this agent sees it.
local function ends_ms(self, seconds)
  return self.good_ms + seconds * 1000 - EARLY_MS
end

local function cancel(self, name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

local function hand_on(self)
  local keeper = self.terms_s[1] and self.good_ms > NEVER and self.keeper()
  if keeper then keeper:renew(self.good_ms) end
end

--- Rules again when a slot may be started that waits for its time.
local function look_at(self, moment_ms)
  if self.look and self.looks_at_ms <= moment_ms then return end
  cancel(self, "look")
  self.looks_at_ms = moment_ms
  self.look = self.timer.after(moment_ms - self.timer.now_ms(), function()
    self.look = nil
    self.on_change()
  end)
end

--- Waits for the next lease that ends; what was true of the longer ones stays so.
local function watch_ends(self)
  cancel(self, "wait")
  local now_ms, next_ms = self.timer.now_ms(), nil
  for _, seconds in ipairs(self.terms_s) do
    local at_ms = ends_ms(self, seconds)
    if at_ms > now_ms and (not next_ms or at_ms < next_ms) then next_ms = at_ms end
  end
  if not next_ms then return end
  self.wait = self.timer.after(next_ms - now_ms, function()
    self.wait, self.is_confirmed = nil, false
    self.log.warn("no word from Consul for too long: replicas with on_disconnect are stopped until it answers")
    watch_ends(self)
    self.on_change()
  end)
end

local function forget_confirmation(self)
  self.round = self.round + 1
  self.is_confirmed, self.is_asking = false, false
  cancel(self, "again")
end

--- Reads whether this node's slots are still its own, until that is known.
local function ask(self)
  if self.is_confirmed or self.is_asking or not self.is_joined or not self.terms_s[1] then return end
  self.is_asking = true
  local round = self.round
  self.confirm(function(is_current)
    if round ~= self.round then return end
    self.is_asking = false
    if is_current then
      self.is_confirmed = true
      return self.on_change()
    end
    self.again = self.timer.after(CONFIRM_AGAIN_MS, function()
      self.again = nil
      ask(self)
    end)
  end)
end

local function extend(self)
  if not self.is_joined or self.heard_ms <= self.good_ms then return end
  local shortest_s = self.terms_s[1]
  local had_ended = not shortest_s or ends_ms(self, shortest_s) <= self.timer.now_ms()
  self.good_ms = self.heard_ms
  if had_ended then forget_confirmation(self) end
  hand_on(self)
  watch_ends(self)
  ask(self)
end

--- The session was renewed, or made.
-- @tparam number sent_ms when what Consul answered was sent, of timer.now_ms()
function Lease:renewed(sent_ms)
  self.heard_ms = math.max(self.heard_ms, sent_ms)
  extend(self)
end

--- This node is among the live: its key stands there.
function Lease:joined()
  self.is_joined = true
  extend(self)
  ask(self)
end

--- It is not, or nobody knows. What runs goes on until its lease ends.
function Lease:left()
  self.is_joined = false
  forget_confirmation(self)
end

--- Which leases there are from now on.
-- @tparam table terms_s set of seconds
function Lease:set_terms(terms_s)
  local list = {}
  for seconds in pairs(terms_s) do list[#list + 1] = seconds end
  table.sort(list)
  if table.concat(list, " ") == table.concat(self.terms_s, " ") then return end
  local is_first = not self.terms_s[1]
  self.terms_s = list
  self.renew_within(list[1] and list[1] * 1000 // 3)
  if is_first then hand_on(self) end
  watch_ends(self)
  ask(self)
end

--- The keeper can be reached: a new one knows of no renewal.
function Lease:keeper_ready()
  hand_on(self)
end

--- The keeper stopped such a replica by itself: it knows of no good renewal, whatever is known here.
function Lease:ended()
  self.good_ms, self.heard_ms = NEVER, NEVER
  forget_confirmation(self)
  watch_ends(self)
  self.on_change()
end

--- What to do with a replica that must not run without Consul.
-- @tparam integer seconds its `stop_after_seconds`
-- @tparam boolean is_up whether it runs, or the keeper is about to start it again: that needs no confirmation
-- @tparam ?number not_before_ms of timer.now_ms(): it is not started before
-- @treturn ?string nil: what is wanted anyway; else a mode of App:want: `off`, or `keep` where only the keeper may know
--   of a lease that has not ended
-- @treturn ?string why, for people
function Lease:ruling(seconds, is_up, not_before_ms)
  if self.good_ms == NEVER then
    return "keep", "waits for Consul: it must not run without (on_disconnect)"
  end
  if ends_ms(self, seconds) <= self.timer.now_ms() then
    return "off", ("stopped, as Consul could not be reached for %d s (on_disconnect); started again when it confirms that"
      .. " the slot is this node's"):format(seconds)
  end
  if not is_up and not self.is_confirmed then
    return "keep", "waits until Consul confirms that the slot is still this node's (on_disconnect)"
  end
  if not is_up and not_before_ms and not_before_ms > self.timer.now_ms() then
    look_at(self, not_before_ms)
    return "keep", "waits until whoever had it under this node's name before has surely stopped it (on_disconnect)"
  end
  return nil
end

--- Ends; the leases go on in the keeper.
function Lease:stop()
  forget_confirmation(self)
  cancel(self, "wait")
  cancel(self, "look")
  self.is_joined = false
end

return M
