--- A small Consul behind a fake transport: keys, sessions, long polls, transactions.
--
--     local consul = require("spec.support.fake_consul").new(timer)
--     Client.new({ http = consul.http, … })
--     timer.advance(10)             -- answers take one ms
--     consul.put("appmgr/task/web", "{}")
--
-- It keeps the rules that callers rely on (who may acquire, what cas refuses,
-- which index a poll wakes on) and knows no TTL: sessions end by `expire`.

local core = require("spec.support.core")

local M = {}

local Store = {}
Store.__index = Store

local function entry_json(entry)
  return {
    Key = entry.key, Value = entry.value ~= "" and core.codec.base64_encode(entry.value) or nil, Session = entry.session,
    LockIndex = entry.lock_index, Flags = entry.flags, CreateIndex = entry.create_index, ModifyIndex = entry.modify_index,
  }
end

function Store:write(key, value, session, flags)
  local entry = self.keys[key]
  flags = flags or 0
  if entry and entry.value == value and entry.session == session and entry.flags == flags then return end
  self.index = self.index + 1
  entry = entry or { key = key, create_index = self.index, lock_index = 0 }
  entry.value, entry.session, entry.flags, entry.modify_index = value, session, flags, self.index
  self.keys[key] = entry
  self.dirty = true
end

function Store:remove(key)
  if not self.keys[key] then return end
  self.index = self.index + 1
  self.keys[key] = nil
  self.removed[key] = self.index
  self.dirty = true
end

function Store:select(key, tree)
  local found = {}
  for name, entry in pairs(self.keys) do
    if name == key or tree and name:sub(1, #key) == key then found[#found + 1] = entry end
  end
  table.sort(found, function(a, b) return a.key < b.key end)
  return found
end

--- The index of what never existed moves with every write, as Consul's does.
function Store:index_of(key, tree)
  local entries = self:select(key, tree)
  local index = #entries == 0 and self.index or 1
  for _, entry in ipairs(entries) do index = math.max(index, entry.modify_index) end
  for name, removed in pairs(self.removed) do
    if name == key or tree and name:sub(1, #key) == key then index = math.max(index, removed) end
  end
  return index
end

function Store:read(request, path, query)
  local entries = self:select(path, query.recurse or query.keys)
  local body = ""
  if #entries > 0 then
    local list = {}
    for i, entry in ipairs(entries) do list[i] = query.keys and entry.key or entry_json(entry) end
    body = core.json.encode(core.json.array(list))
  end
  request.reply(#entries > 0 and 200 or 404, body, {
    ["x-consul-index"] = tostring(self:index_of(path, query.recurse or query.keys)), ["content-type"] = "application/json",
  })
end

function Store:get(request, path, query)
  local index = tonumber(query.index)
  if not index or index <= 1 or self:index_of(path, query.recurse or query.keys) ~= index then
    return self:read(request, path, query)
  end
  local waiter = { request = request, path = path, query = query, index = index }
  self.waiters[waiter] = true
  waiter.timer = self.timer.after(tonumber(query.wait:match("%d+")) * 1000, function()
    self.waiters[waiter] = nil
    self:read(request, path, query)
  end)
end

--- Wakes the polls whose index moved.
function Store:wake()
  if not self.dirty then return end
  self.dirty = false
  for waiter in pairs(self.waiters) do
    if self:index_of(waiter.path, waiter.query.recurse or waiter.query.keys) ~= waiter.index then
      self.waiters[waiter] = nil
      waiter.timer.cancel()
      self.timer.after(1, function() self:read(waiter.request, waiter.path, waiter.query) end)
    end
  end
end

function Store:put(key, body, query)
  local entry = self.keys[key]
  if query.acquire then
    if not self.sessions[query.acquire] then return nil end
    if entry and entry.session and entry.session ~= query.acquire then return false end
    self:write(key, body, query.acquire, query.flags)
  elseif query.release then
    if not entry or entry.session ~= query.release then return false end
    self:write(key, body, nil)
  elseif query.cas then
    if (entry and entry.modify_index or 0) ~= tonumber(query.cas) then return false end
    self:write(key, body, entry and entry.session)
  else
    self:write(key, body, entry and entry.session)
  end
  return true
end

local VERBS = {}

VERBS["check-session"] = function(store, kv)
  local entry = store.keys[kv.Key]
  if not entry then return "failed to check session, key doesn't exist" end
  if entry.session ~= kv.Session then return "failed session check" end
end
VERBS["check-not-exists"] = function(store, kv)
  if store.keys[kv.Key] then return ('key "%s" exists'):format(kv.Key) end
end
VERBS["check-index"] = function(store, kv)
  local entry = store.keys[kv.Key]
  if not entry or entry.modify_index ~= kv.Index then return "failed index check for key" end
end
VERBS.cas = function(store, kv, value)
  if not store:put(kv.Key, value, { cas = kv.Index or 0 }) then return "index is stale" end
end
VERBS.set = function(store, kv, value) store:put(kv.Key, value, {}) end
VERBS.lock = function(store, kv, value)
  if not store:put(kv.Key, value, { acquire = kv.Session, flags = kv.Flags }) then return "lock is held" end
end
VERBS.delete = function(store, kv) store:remove(kv.Key) end
VERBS["delete-cas"] = function(store, kv)
  local entry = store.keys[kv.Key]
  if entry and entry.modify_index ~= kv.Index then return "index is stale" end
  store:remove(kv.Key)
end
VERBS.get = function(store, kv)
  if not store.keys[kv.Key] then return "key doesn't exist" end
  return nil, store:select(kv.Key)
end
VERBS["get-tree"] = function(store, kv) return nil, store:select(kv.Key, true) end

local function copy(entries)
  local result = {}
  for key, entry in pairs(entries) do
    result[key] = {}
    for name, value in pairs(entry) do result[key][name] = value end
  end
  return result
end

function Store:transact(request)
  local before, index = copy(self.keys), self.index
  local results = {}
  for i, operation in ipairs(core.json.decode(request.body)) do
    local kv = operation.KV
    local value = kv.Value and core.codec.base64_decode(kv.Value) or ""
    local refusal, entries = VERBS[kv.Verb](self, kv, value)
    if refusal then
      self.keys, self.index, self.dirty = before, index, false
      return request.reply(409, core.json.encode({ Errors = { { OpIndex = i - 1, What = refusal } } }))
    end
    if not entries and not kv.Verb:find("^delete") and not kv.Verb:find("^check") then entries = self:select(kv.Key) end
    for _, entry in ipairs(entries or {}) do
      local shown = entry_json(entry)
      if not kv.Verb:find("^get") then shown.Value = nil end
      results[#results + 1] = { KV = shown }
    end
  end
  request.reply(200, core.json.encode({ Results = core.json.array(results), Index = self.index }))
end

function Store:end_session(id)
  self.sessions[id] = nil
  for key, entry in pairs(copy(self.keys)) do
    if entry.session == id then self:remove(key) end
  end
end

function Store:session(request, action, id)
  if action == "create" then
    self.session_count = self.session_count + 1
    id = ("%08d-0000-4000-8000-000000000000"):format(self.session_count)
    self.sessions[id] = core.json.decode(request.body)
    return request.reply(200, core.json.encode({ ID = id }))
  elseif action == "renew" then
    local fields = self.sessions[id]
    if not fields then return request.reply(404, ("Session id '%s' not found"):format(id)) end
    return request.reply(200, core.json.encode({ { ID = id, TTL = fields.TTL, Node = fields.Node } }))
  elseif action == "destroy" then
    self:end_session(id)
    return request.reply(200, "true")
  end
  request.reply(200, "[]")
end

function Store:serve(request)
  local path, text = request.url:match("^http://[^/]+/v1/([^?]*)%??(.*)$")
  path = path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  local query = {}
  for name, value in text:gmatch("([^&=]+)=?([^&]*)") do query[name] = value end
  local key = path:match("^kv/(.*)$")
  if path == "txn" then
    self:transact(request)
  elseif path:find("^session/") then
    self:session(request, path:match("^session/(%a+)/?(.*)$"))
  elseif not key then
    request.reply(200, "true")
  elseif request.method == "GET" then
    self:get(request, key, query)
  elseif request.method == "DELETE" then
    self:remove(key)
    request.reply(200, "true")
  else
    local done = self:put(key, request.body or "", query)
    request.reply(done == nil and 500 or 200, done == nil and "invalid session" or tostring(done) .. "\n")
  end
  self:wake()
end

--- @tparam table timer of spec.support.fake_timer
-- @treturn table {http, put(key, value), delete(key), value(key), holder(key), expire(session), requests(text) → count,
--   down (true: refuses connections)}
function M.new(timer)
  local http = require("spec.support.fake_http").new()
  local store = setmetatable({
    timer = timer, keys = {}, removed = {}, sessions = {}, waiters = {}, index = 10, session_count = 0,
  }, Store)
  local consul = { http = http, store = store }

  http.respond = function(request)
    timer.after(1, function()
      if not request.is_open() then return end
      if consul.down then return request.fail("connect", "refused") end
      store:serve(request)
    end)
  end

  function consul.put(key, value)
    store:write(key, value)
    store:wake()
  end

  function consul.delete(key)
    store:remove(key)
    store:wake()
  end

  function consul.value(key)
    return store.keys[key] and store.keys[key].value
  end

  function consul.holder(key)
    return store.keys[key] and store.keys[key].session
  end

  function consul.expire(session)
    store:end_session(session)
    store:wake()
  end

  --- How many requests were sent whose "METHOD url" holds this text.
  function consul.requests(text)
    local count = 0
    for _, request in ipairs(http.requests) do
      if (request.method .. " " .. request.url):find(text, 1, true) then count = count + 1 end
    end
    return count
  end

  return consul
end

return M
