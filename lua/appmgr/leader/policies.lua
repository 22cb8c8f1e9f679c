--- Which policy this leader places with: the one that Consul's `policy/use` names, else its configuration's.
--
--   off ──start──▶ reading ──policy/use is known──▶ known ⇄ (policy/use changes, its version is read)
--
-- Only the leader looks. Nothing is decided before it is known what is in use; afterwards a read that fails, or a document
-- that makes no sense, leaves in use what was.
local Watch = require("appmgr.consul.watch")
local documents = require("appmgr.policy_documents")

local M = {}

local Policies = {}
Policies.__index = Policies

local RETRY_MS <const> = 2000

--- @tparam table deps `client`, `timer`, `random`, `problems`, `json`, `codec`, `fallback_ms`, `configured` (function →
--   {name, source, options}: the configuration's policy), `may_write` (function → boolean), `on_change` (function(): `current`
--   may say something else than before)
-- @treturn Policies
function M.new(deps)
  local self = setmetatable({
    client = deps.client, timer = deps.timer, problems = deps.problems, json = deps.json, codec = deps.codec,
    configured = deps.configured, may_write = deps.may_write, on_change = deps.on_change,
  }, Policies)
  self.watch = Watch.new({
    client = deps.client, timer = deps.timer, random = deps.random, key = documents.USE, consistent = true,
    fallback_ms = deps.fallback_ms, deliver = function(answer) self:seen(answer) end,
    on_error = function(err) self:tell("read", err and "policy/use cannot be read: " .. err.message) end,
  })
  return self
end

function Policies:tell(what, reason)
  local key = "policies/" .. what
  if not reason then return self.problems:clear(key) end
  self.problems:set(key, ("%s; %s"):format(reason, self.is_known and "the policy stays what it was" or "nothing is decided"))
end

local function cancel(self)
  if self.request then self.request:cancel() end
  if self.wait then self.wait:cancel() end
  self.request, self.wait = nil, nil
end

local function take(self, policy)
  self.chosen, self.is_known = policy, true
  self:tell("version", nil)
  local on_known = self.on_known
  self.on_known = nil
  if on_known then return on_known() end
  self.on_change()
end

local read_version

local function read_later(self, use, reason)
  self:tell("version", reason)
  self.wait = self.timer.after(RETRY_MS, function()
    self.wait = nil
    read_version(self, use)
  end)
end

--- Reads the text of the policy in use; versions never change, so one that is known is not read again.
function read_version(self, use)
  local key = documents.version_key(use.name, use.hash)
  self.request = self.client:get(key, { consistent = true }, function(answer, err)
    self.request = nil
    local entries = answer and answer.status == 200 and self.client.entries(answer.body)
    local source = entries and entries[1] and entries[1].value
    if not source then
      return read_later(self, use, ("%s, which is in use, cannot be read: %s"):format(key, err and err.message or "it is not there"))
    end
    if documents.hash(source, self.codec) ~= use.hash then
      return read_later(self, use, key .. " was changed by somebody: its text has another hash; put it anew and use that")
    end
    take(self, { name = use.name, source = source, options = use.options, from = "Consul", version = use.hash })
  end)
end

--- Before anybody chose, the key is made: Consul wakes a long poll on a key that is not there for every write anywhere.
local function found(self)
  self.client:put(documents.USE, documents.NOBODY_CHOSE, { cas = 0, guard = self.may_write }, function() end)
end

--- Takes what the watch delivers.
function Policies:seen(answer)
  cancel(self)
  if answer.status == 404 then
    found(self)
    return take(self, nil)
  end
  local entries, err = self.client.entries(answer.body)
  local use
  if entries then use, err = documents.read_use(entries[1] and entries[1].value, self.json) end
  self:tell("use", not use and ('policy/use cannot be used: %s; "appmgr policy use" writes it anew'):format(tostring(err)) or nil)
  if not use then return end
  if not use.name then return take(self, nil) end
  local chosen = self.chosen
  if chosen and chosen.name == use.name and chosen.version == use.hash then
    return take(self, { name = use.name, source = chosen.source, options = use.options, from = "Consul", version = use.hash })
  end
  read_version(self, use)
end

--- A term begins.
-- @tparam function on_known function(): it is known which policy is in use, once
function Policies:start(on_known)
  self.on_known, self.is_known, self.chosen = on_known, false, nil
  self.watch:start()
end

--- The term is over.
function Policies:stop()
  cancel(self)
  self.watch:stop()
  self.on_known = nil
  self.problems:clear_prefix("policies/")
end

--- The policy to place with.
-- @treturn table {name, source, options, from ("Consul" or "configuration"), version (of Consul's)}
function Policies:current()
  if self.chosen then return self.chosen end
  local own = self.configured()
  return { name = own.name, source = own.source, options = own.options, from = "configuration" }
end

return M
