--- This node's place among the live: `live/<host>`, held by its session.
--
-- Who holds the key is the node of that name. An agent that finds it held by
-- another session runs only its local applications and what runs already, says
-- who holds the name, and waits until it is free.
--
-- States: off → joining → joined ⇄ (checked each minute) | refused → joining …
local Watch = require("appmgr.consul.watch")
local phase = require("appmgr.phase")

local M = {}

local Membership = {}
Membership.__index = Membership

-- One request a minute finds and repairs a key that somebody deleted.
local CHECK_MS = 60000
-- A refusal while the key looks free (a lock-delay) wakes nobody when it ends.
local RETRY_MS = 1000
local FAREWELL_TIMEOUT_MS = 2000

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `log`, `problems`, `json`, `node` (name), `fields`
--   (the document: hostname, incarnation, cluster, version, labels, capacity {cpu (millicores), memory_mb}, candidate,
--   local_applications, tasks; `node` and `api` are added, and what is json.null is left out), `fallback_ms`, `on_joined`
--   (function()), `on_held` (function(): Consul says that the key is held, each time it is asked), `on_refused`
--   (function(holder): a text), `doubt_session` (function(): the session may be gone)
-- @treturn Membership
function M.new(deps)
  local self = setmetatable({
    client = deps.client, timer = deps.timer, random = deps.random or math.random, log = deps.log,
    problems = deps.problems, json = deps.json, node = deps.node, fields = {}, fallback_ms = deps.fallback_ms,
    on_joined = deps.on_joined, on_held = deps.on_held, on_refused = deps.on_refused, doubt_session = deps.doubt_session,
    key = "live/" .. deps.node, phase = "off", failures = 0,
  }, Membership)
  self:merge(deps.fields or {})
  return self
end

local function enter(self, name)
  if self.watch then self.watch:stop() end
  self.watch = nil
  phase.enter(self, name)
end

--- Takes over fields of the document.
-- @treturn boolean whether its text is another one than before
function Membership:merge(fields)
  for name, value in pairs(fields) do self.fields[name] = value end
  local document = { node = self.node, api = 1 }
  for name, value in pairs(self.fields) do
    if value ~= self.json.null then document[name] = value end
  end
  document.local_applications = self.json.array(document.local_applications or {})
  local text = self.json.encode(document)
  local changed = text ~= self.text
  self.text = text
  return changed
end

local acquire

--- The write that was on its way when this ended has come to its end.
local function settle_last_write(self)
  local settled = self.on_settled
  self.is_writing, self.on_settled = false, nil
  if settled then settled() end
end

-- Joined --------------------------------------------------------------------

local function joined(self)
  local was_joined = self.phase == "joined"
  enter(self, "joined")
  self.failures = 0
  self.problems:clear("membership")
  phase.after(self, math.floor(CHECK_MS * (1 - self.random() / 10)), acquire)
  if not was_joined then
    self.log.info(('joined the cluster as node "%s"'):format(self.node))
    if self.on_joined then self.on_joined() end
  end
  if self.on_held then self.on_held() end
end

-- Refused -------------------------------------------------------------------

--- Who holds the name, in words.
local function describe_holder(self, entry)
  local document = entry.value and self.json.decode(entry.value)
  if type(document) ~= "table" then return ("session %s"):format(entry.session) end
  return ("an agent on %s (session %s, incarnation %s, version %s)"):format(tostring(document.hostname or "another host"),
    entry.session, tostring(document.incarnation), tostring(document.version))
end

local function refused(self, entry)
  local holder = describe_holder(self, entry)
  self.problems:set("membership", ('the node name "%s" is held by %s; here local applications run, no replica is started,'
    .. " and those that run are left alone. If that agent is meant to be there, give this one a name of its own with"
    .. " --node; if it is gone, its session ends by itself"):format(self.node, holder))
  if self.refused_by == entry.session then return end
  self.refused_by = entry.session
  if self.on_refused then self.on_refused(holder) end
end

--- Follows the key until it is free.
local function wait_for_name(self)
  enter(self, "refused")
  self.watch = Watch.new({
    client = self.client, timer = self.timer, random = self.random, key = self.key, fallback_ms = self.fallback_ms,
    deliver = function(answer)
      local entries = answer.status == 200 and self.client.entries(answer.body) or {}
      local entry = entries[1]
      if entry and entry.session and entry.session ~= self.session_id then return refused(self, entry) end
      enter(self, "joining")
      phase.after(self, self.refused_by and 0 or RETRY_MS, acquire)
      self.refused_by = nil
    end,
  })
  self.watch:start()
end

-- Joining -------------------------------------------------------------------

local function failed(self, err)
  self.problems:set("membership", ("%s cannot be held: %s; it is tried on"):format(self.key, err.message))
  if err.message:find("invalid session", 1, true) then self.doubt_session() end
  local longest = math.min(self.fallback_ms or 5000, 500 * 2 ^ math.min(self.failures, 8))
  self.failures = self.failures + 1
  phase.after(self, math.ceil(longest * (1 - self.random() / 4)), acquire)
end

--- Takes the key, or writes it again: to Consul the same, and without an effect when nothing changed. One write at a time: of
-- two on their way Consul may act on the older one last.
function acquire(self)
  if self.request then return end
  if self.wait then self.wait:cancel() end
  self.wait = nil
  local text = self.text
  local answered = phase.current(self, function(held, err)
    self.request = nil
    if held then
      joined(self)
      -- A field that changed while the write was on its way: its update found no one joined.
      if self.phase == "joined" and self.text ~= text then acquire(self) end
      return
    end
    if held == false then return wait_for_name(self) end
    failed(self, err)
  end)
  self.request = self.client:put(self.key, text, { acquire = self.session_id }, function(held, err)
    settle_last_write(self)
    answered(held, err)
  end)
end

-- Public --------------------------------------------------------------------

--- The session is held (again): takes the name.
-- @tparam string id
function Membership:session_held(id)
  self.session_id, self.refused_by = id, nil
  enter(self, "joining")
  acquire(self)
end

--- The session is lost, and with it the key; nothing is asked until there is another.
function Membership:session_lost()
  enter(self, "off")
  self.session_id = nil
end

--- Changes fields of the document; written only when its text changes.
-- @tparam table fields as of `new`
function Membership:update(fields)
  if self:merge(fields) and self.phase == "joined" then acquire(self) end
end

--- Something says that the key may be gone: it is written again now, and not within a minute.
function Membership:check()
  if self.phase == "joined" and not self.request then acquire(self) end
end

--- Says that this node leaves on purpose, so that nobody waits for it: the key is given back by the session with that in it, and
-- stays until a leader, maybe a later one, has heard it and deletes it.
-- @tparam ?string session_id what may hold the key: also the session of the agent before, which this one has not taken up yet
-- @tparam function callback (): it was said, or it cannot be
function Membership:say_farewell(session_id, callback)
  if not session_id then return callback() end
  local text = self.json.encode({ node = self.node, left = true })
  local function say()
    -- Where another session holds the key, or none does, nothing is written.
    self.client:put(self.key, text, { release = session_id, timeout_ms = FAREWELL_TIMEOUT_MS }, function() callback() end)
  end
  if not self.is_writing then return say() end
  -- Where even that is not answered there is nobody to say it to.
  local patience = self.timer.after(FAREWELL_TIMEOUT_MS, function()
    self.on_settled = nil
    callback()
  end)
  self.on_settled = function()
    patience:cancel()
    say()
  end
end

--- Ends without a word to Consul; the key stays with the session. A write that is on its way is waited for by the farewell:
-- Consul may act on one that was called off, after the farewell, and the key would go with the session.
function Membership:stop()
  self.is_writing = self.request ~= nil
  self.request = nil
  enter(self, "off")
end

return M
