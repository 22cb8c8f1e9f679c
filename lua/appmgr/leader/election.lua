--- Which agent leads: one key, held by a session.
--
--   off ──session held──▶ watching ──free──▶ waiting ──▶ trying ──"true"──▶ leading
--                            ▲                              │                  │
--                            └────"false", lost, lease over─┴──────────────────┘
--   any ──withdraw──▶ watching (tries again once session_held is called)
--   any ──resign──▶ resigned (never tries again)
--
-- A release is tried for at once; a key that vanished means a crash, and the
-- candidates wait a random moment that grows with their number, look again, and
-- then try. Leadership ends by our own clock with the session's lease, whatever
-- Consul says or fails to say; what Consul's fencing makes safe, this makes quiet.
local Watch = require("appmgr.consul.watch")
local phase = require("appmgr.phase")

local M = {}

local Election = {}
Election.__index = Election

local KEY = "leader"
local WAIT_PER_CANDIDATE_MS, LONGEST_WAIT_MS = 20, 2000
local CANDIDATES_WHEN_UNKNOWN = 10
-- A refused try while the key looks free: a lock-delay, whose end wakes nobody.
local RETRY_MS = 1000
local RELEASE_TIMEOUT_MS = 2000

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `log`, `problems`, `json`, `node` (name),
--   `session` (id(), lease_until_ms(), check()), `fallback_ms`, `on_elected` (function(term)), `on_deposed` (function(reason))
-- @treturn Election
function M.new(deps)
  local self = setmetatable({
    client = deps.client, timer = deps.timer, random = deps.random or math.random, log = deps.log,
    problems = deps.problems, json = deps.json, node = deps.node, session = deps.session,
    on_elected = deps.on_elected, on_deposed = deps.on_deposed,
    phase = "off", started = false, may_try = false, term = 0,
  }, Election)
  self.value = deps.json.encode(deps.node)
  self.watch = Watch.new({
    client = deps.client, timer = deps.timer, random = self.random, key = KEY, fallback_ms = deps.fallback_ms,
    deliver = function(answer) self:seen(answer) end,
    on_error = function(err)
      if err then
        self.problems:set("leader/watch", "the leader key cannot be followed: " .. err.message)
      else
        self.problems:clear("leader/watch")
      end
    end,
  })
  return self
end

local consider, confirm_loss

-- Leading -------------------------------------------------------------------

local function depose(self, reason)
  phase.enter(self, "watching")
  self.log.info(("leadership of term %d is over: %s"):format(self.term, reason))
  if self.on_deposed then self.on_deposed(reason) end
end

local function lease_left_ms(self)
  return self.session:lease_until_ms() - self.timer.now_ms()
end

--- Ends the leadership by our own clock when no renewal came through.
local function guard_lease(self)
  local left_ms = lease_left_ms(self)
  if left_ms > 0 then return phase.after(self, left_ms, guard_lease) end
  depose(self, "the session was not renewed in time")
  consider(self)
end

--- Takes what is known of the key now. Once somebody holds it, that it could not be taken is over.
local function know(self, holder)
  self.holder = holder
  if holder.session then self.problems:clear("leader/try") end
end

local function elected(self)
  if lease_left_ms(self) <= 0 then
    phase.enter(self, "watching")
    return phase.after(self, RETRY_MS, consider)
  end
  phase.enter(self, "leading")
  self.term = self.term + 1
  know(self, { session = self.session:id(), name = self.node })
  self.log.info(("elected leader, term %d"):format(self.term))
  phase.after(self, lease_left_ms(self), guard_lease)
  if self.on_elected then self.on_elected(self.term) end
end

-- Trying --------------------------------------------------------------------

--- Tries to take the key. The answer's body decides, compared as the client compares it.
local function try(self)
  phase.enter(self, "trying")
  self.request = self.client:put(KEY, self.value, { acquire = self.session:id() }, phase.current(self, function(won, err)
    self.request = nil
    if won then return elected(self) end
    phase.enter(self, "watching")
    if err and err.message:find("invalid session", 1, true) then
      self.session:check()
    elseif err then
      self.problems:set("leader/try", "the leader key cannot be taken: " .. err.message)
    else
      self.problems:clear("leader/try")
    end
    if self.phase ~= "watching" or self.wait then return end
    -- Another one took it: the watch says so. Else (lock-delay, error) nothing wakes us.
    phase.after(self, RETRY_MS, consider)
  end))
end

--- What a look at the key shows.
-- @treturn table {session, name}: no session when it is free, neither when it is absent
local function holder_of(self, answer)
  if answer.status == 404 then return { absent = true } end
  local entries, err = self.client.entries(answer.body)
  if not entries then return nil, err end
  for _, entry in ipairs(entries) do
    if entry.key == KEY then
      local name = entry.value and self.json.decode(entry.value)
      return { session = entry.session, name = type(name) == "string" and name or nil }
    end
  end
  return { absent = true }
end

--- Looks at the key before trying: another candidate may have been faster.
local function look_again(self)
  self.request = self.client:get(KEY, nil, phase.current(self, function(answer)
    self.request = nil
    local holder = answer and holder_of(self, answer)
    if not holder then
      phase.enter(self, "watching")
      return phase.after(self, RETRY_MS, consider)
    end
    know(self, holder)
    if holder.session and holder.session ~= self.session:id() then return phase.enter(self, "watching") end
    try(self)
  end))
end

--- How long a candidate waits after a crash; each live node counts as one that may try.
local function random_wait_ms(self, candidates)
  return math.floor(self.random() * math.min(LONGEST_WAIT_MS, WAIT_PER_CANDIDATE_MS * candidates))
end

local function wait_after_crash(self)
  phase.enter(self, "waiting")
  self.request = self.client:get("live/", { keys = true }, phase.current(self, function(answer)
    self.request = nil
    local keys = answer and (answer.status == 404 and {} or self.client.keys(answer.body))
    local candidates = keys and math.max(1, #keys) or CANDIDATES_WHEN_UNKNOWN
    phase.after(self, random_wait_ms(self, candidates), look_again)
  end))
end

--- Decides what follows from what is known of the key.
function consider(self)
  if self.phase ~= "watching" and self.phase ~= "waiting" then return end
  local holder, own = self.holder, self.session:id()
  phase.enter(self, "watching")
  if not self.may_try or not own or not holder or holder.session and holder.session ~= own then return end
  -- A session that is not renewed gives no leadership, even if Consul would.
  if lease_left_ms(self) <= 0 then return phase.after(self, RETRY_MS, consider) end
  if holder.absent then return wait_after_crash(self) end
  -- Released, or still held by the session that this agent had before its restart.
  try(self)
end

-- Watching ------------------------------------------------------------------

--- The watch may show what was before our own write: ask once more before giving up.
function confirm_loss(self)
  if self.request then return end
  self.request = self.client:get(KEY, { consistent = true }, phase.current(self, function(answer)
    self.request = nil
    local holder = answer and holder_of(self, answer)
    if not holder then
      -- Meanwhile the lease ends by itself, and every write is fenced.
      self.timer.after(RETRY_MS, phase.current(self, function() confirm_loss(self) end))
      return
    end
    if holder.session == self.session:id() then return end
    know(self, holder)
    depose(self, holder.session and ("%s holds the key"):format(holder.name or "another session")
      or "the key is not held by this agent any more")
    -- Keys mostly vanish because their session did.
    self.session:check()
    if self.phase == "watching" then consider(self) end
  end))
end

--- Takes what the watch delivers.
function Election:seen(answer)
  local holder, err = holder_of(self, answer)
  if not holder then
    return self.problems:set("leader/value", "the leader key cannot be read: " .. err)
  end
  self.problems:clear("leader/value")
  if self.phase == "leading" then
    if holder.session ~= self.session:id() then confirm_loss(self) end
    return
  end
  know(self, holder)
  -- A try under way finds out by itself; a wait for a vanished key goes on while it is absent.
  if self.phase == "watching" or self.phase == "waiting" and not holder.absent then consider(self) end
end

-- Public --------------------------------------------------------------------

--- Begins to follow the key, and to try for it as soon as a session is held.
function Election:start()
  assert(not self.started, "the election was started before")
  self.started, self.may_try = true, true
  phase.enter(self, "watching")
  self.watch:start()
end

--- The session is held (again), or what made this agent withdraw is over.
function Election:session_held()
  self.may_try = true
  if self.started and self.phase ~= "resigned" then consider(self) end
end

--- Consul lost the session, and the key with it.
-- @tparam string reason
function Election:session_lost(reason)
  self.may_try = false
  if self.phase == "leading" then return depose(self, reason) end
  if self.started and self.phase ~= "resigned" then phase.enter(self, "watching") end
end

--- Whether this agent leads, and that term, at this very moment. To be asked right before each write: an agent that
-- was frozen learns here that its time is over, before any timer tells it.
-- @tparam[opt] integer term of the writer; nil for whichever
-- @treturn boolean
function Election:is_leading(term)
  if self.phase ~= "leading" then return false end
  if lease_left_ms(self) <= 0 then
    depose(self, "the session was not renewed in time")
    consider(self)
    return false
  end
  return term == nil or term == self.term
end

--- A write was refused: whether the key is still ours is asked now.
function Election:doubt()
  if self.phase == "leading" then confirm_loss(self) end
end

--- The leader's name as last seen.
-- @treturn ?string nil when none is known or this agent is no candidate
function Election:leader()
  if self.phase == "leading" then return self.node end
  return self.holder and self.holder.session and self.holder.name or nil
end

--- Ends what this agent has of the leadership or is about to get; its name is left in the key.
local function give_back(self, reason, next_phase, callback)
  local may_hold = self.phase == "leading" or self.phase == "trying"
  if self.phase == "leading" then depose(self, reason) end
  phase.enter(self, next_phase)
  local id = self.session:id()
  if not may_hold or not id then return callback(true) end
  self.client:put(KEY, self.value, { release = id, timeout_ms = RELEASE_TIMEOUT_MS }, function(released, err)
    -- "false": the key was lost meanwhile, which is as good.
    callback(released ~= nil or nil, err)
  end)
end

--- Gives leadership back, and tries no more before `session_held`.
-- @tparam string reason
function Election:withdraw(reason)
  self.may_try = false
  if not self.started or self.phase == "resigned" then return end
  -- A release that fails leaves a key that ends with the session; nothing is written under it.
  give_back(self, reason, "watching", function() end)
end

--- Gives leadership back and never tries again.
-- @tparam function callback (true | nil, err), at once when there is nothing to give back
function Election:resign(callback)
  self.watch:stop()
  self.holder = nil
  give_back(self, "resigned", "resigned", callback)
end

--- Ends without a word to Consul.
function Election:stop()
  phase.enter(self, "resigned")
  self.watch:stop()
end

return M
