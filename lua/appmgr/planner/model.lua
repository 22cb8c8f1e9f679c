--- The cluster as the planner sees it: fed with Consul's raw answers, kept
-- between decisions, changed by deltas. A key whose value did not change is not
-- parsed again.
local Confirmations = require("appmgr.planner.confirmations")
local Holdings = require("appmgr.planner.holdings")
local Nodes = require("appmgr.planner.nodes")
local Tasks = require("appmgr.planner.tasks")
local absence = require("appmgr.planner.absence")
local guard = require("appmgr.planner.guard")
local listing = require("appmgr.planner.listing")

local Model = {}
Model.__index = Model

--- @tparam table deps `json`, `codec`, `prefix` (without or with a slash at its end), `follows` (true: somebody else decides,
--   so what an audit finds is never compared with a decision)
-- @treturn Model
function Model.new(deps)
  local reading = { json = deps.json, codec = deps.codec, prefix = deps.prefix:gsub("/*$", "") .. "/" }
  return setmetatable({
    reading = reading, prefix = reading.prefix, tasks = Tasks.new(deps), nodes = Nodes.new(deps),
    holdings = Holdings.new(deps), confirmations = Confirmations.new(deps), codec = deps.codec,
    indexes = {}, feed_errors = {}, needs_audit = false, commit_error = nil,
    founded = {}, folder_is_due = false, follows = deps.follows,
  }, Model)
end

-- 404 is an empty listing here; what an empty one means is for each topic to say.
local function entries_of(self, header, body)
  if header.status == 404 then return {} end
  return listing.read(body, self.reading)
end

local FEED = {}

function FEED.task(self, header, body)
  local entries, reason = entries_of(self, header, body)
  if not entries then return nil, reason end
  self.tasks:feed(entries)
  -- A new cluster has no folder yet; once it was seen, or written before this listing was made, it is due.
  local written = self.founded["task/"]
  if self.tasks.has_folder or written and written <= (header.index or 0) then self.folder_is_due = true end
  return true
end

function FEED.live(self, header, body)
  local entries, reason = entries_of(self, header, body)
  if not entries then return nil, reason end
  self.nodes:feed_live(entries)
  return true
end

function FEED.node(self, header, body)
  local entries, reason = entries_of(self, header, body)
  if not entries then return nil, reason end
  self.nodes:feed_intents(entries)
  if self.nodes.has_folder then self.founded["node/"] = nil end
  return true
end

function FEED.version(self, header, body)
  local keys, reason = {}, nil
  if header.status ~= 404 then keys, reason = listing.read_keys(body, self.reading) end
  if not keys then return nil, reason end
  self.holdings:feed_versions(keys)
  return true
end

function FEED.status(self, header, body)
  local entries, reason = entries_of(self, header, body)
  if not entries then return nil, reason end
  self.nodes:feed_status(header.host, entries[1])
  return true
end

function FEED.load(self, _, body)
  local entries, reason = listing.read_transaction(body, self.reading)
  if not entries then return nil, reason end
  self.nodes:feed_load(entries)
  return true
end

function FEED.audit(self, _, body)
  local entries, reason = listing.read_transaction(body, self.reading)
  if not entries then return nil, reason end
  if self.follows then self.holdings:forget() end
  self.holdings:feed_audit(entries)
  self.confirmations:feed(entries)
  self.needs_audit, self.commit_error = false, nil
  return true
end

function FEED.confirm(self, header, body)
  local entries, reason = entries_of(self, header, body)
  if not entries then return nil, reason end
  self.confirmations:feed(entries)
  return true
end

--- Takes one of Consul's answers. One that cannot be read changes nothing.
-- @tparam table header `topic`, `status` 200 or 404, `index`, `host` for a status
-- @tparam string body the raw answer
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why it was not taken
function Model:feed(header, body)
  local topic = header.topic
  local feed = FEED[topic]
  if not feed then
    return nil, "unknown topic " .. tostring(topic)
  end
  local done, reason
  if header.status == 200 or (header.status == 404 and topic ~= "audit") then
    done, reason = feed(self, header, body)
  else
    reason = "answered with status " .. tostring(header.status)
  end
  self.feed_errors[topic] = not done and reason or nil
  if not done then return nil, reason end
  self.indexes[topic] = header.index
  return true
end

local HAS_READ = {
  task = function(self) return self.tasks.read end,
  live = function(self) return self.nodes.live_read end,
  node = function(self) return self.nodes.intents_read end,
  version = function(self) return self.holdings.versions_read end,
  audit = function(self) return self.holdings.audited end,
}

--- Whether a topic has been fed since the model, or its term, began.
-- @tparam string topic
-- @treturn boolean
function Model:has_read(topic)
  return HAS_READ[topic](self)
end

--- Whether the folder key of `task/` or `node/` has to be written: the listing lacks it, and it was not written since
-- that listing was made.
-- @tparam string topic
-- @treturn boolean
function Model:lacks_folder(topic)
  local part = topic == "task" and self.tasks or self.nodes
  if part.has_folder then return false end
  local written = self.founded[topic .. "/"]
  return not written or written <= (self.indexes[topic] or 0)
end

--- Starts a term: what an earlier one decided is no longer ours to defend.
-- @param term any value that differs from term to term
function Model:begin_term(term)
  if self.term ~= nil and self.term ~= term then
    self.holdings:forget()
    self.nodes:keep_status({})
    self.needs_audit = true
  end
  self.term = term
end

local function recover_unreadable(self, nodes)
  for _, node in ipairs(nodes) do
    if self.holdings.unreadable[node.name] and node.status then
      self.holdings:recover(node.name, node.status.rows)
    end
  end
end

-- @treturn table the parsed tasks by name
-- @treturn table set of those of which nothing is changed: their documents cannot be used
local function parsed_tasks(entries)
  local by_name, frozen = {}, {}
  for _, entry in ipairs(entries) do
    by_name[entry.name] = entry.task
    if not entry.task or #entry.task.unsupported > 0 then frozen[entry.name] = true end
  end
  return by_name, frozen
end

-- The hosts that have an assignment of ours and are not alive.
local function absent_hosts(self, nodes)
  local holdings, live, hosts = self.holdings, {}, {}
  for _, node in ipairs(nodes) do live[node.name] = true end
  for host in pairs(holdings.store) do
    local is_strange = holdings.unreadable[host] or holdings.foreign[host] and not holdings.gone_since[host]
    if not live[host] and not is_strange then
      hosts[host] = {
        replicas = holdings.decided[host] or {}, gone_since = holdings.gone_since[host], left = self.nodes.left[host] ~= nil,
      }
    end
  end
  return hosts
end

-- Adds the nodes that are gone and still have something of their own.
-- @treturn {node,...} a new list when there are any
-- @treturn table replicas by host, in which a node that is gone has only what is still its own
local function add_gone(self, live, judgement)
  if not next(judgement.hosts) then return live, self.holdings.decided end
  local held, nodes = {}, table.move(live, 1, #live, 1, {})
  for host, replicas in pairs(self.holdings.decided) do held[host] = replicas end
  for host, gone in pairs(judgement.hosts) do
    -- The same table while it is all still there, so that nobody looks at it again.
    held[host] = #gone.replicas == #held[host] and held[host] or gone.replicas
    if #gone.replicas > 0 then nodes[#nodes + 1] = self.nodes:gone_record(host, gone.since, gone.until_time) end
  end
  table.sort(nodes, function(a, b) return a.name < b.name end)
  return nodes, held
end

-- One that is back is written as such, even if nothing else of it changes.
local function unmark_returned(self, nodes)
  for _, node in ipairs(nodes) do
    if self.holdings.gone_since[node.name] then self.holdings.in_step[node.name] = nil end
  end
end

--- What the engine decides on. Nothing in it may be changed, but `nodes`.
-- @tparam integer now unix s
-- @tparam table terms `node_grace_seconds`, `session_ttl` (seconds)
-- @treturn table `now`, `tasks`, `live` (nodes), `nodes` (with those that are gone and still have something), `held` (replicas
--   by host), `assignment_index` (by host), `marks` (see holdings.mark), `unreadable` (set of hosts), `unheld` (index by key of
--   `live/`, of those that no session holds), `absence` (see absence.judge)
function Model:snapshot(now, terms)
  local live, tasks = self.nodes:list(), self.tasks:list()
  guard.mark_strangers(self, live)
  if self.nodes.live_read then self.holdings:prune(live) end
  recover_unreadable(self, live)
  unmark_returned(self, live)
  local assignment_index, unreadable = {}, {}
  for host, stored in pairs(self.holdings.store) do assignment_index[host] = stored.index end
  for _, node in ipairs(live) do
    unreadable[node.name] = self.holdings.unreadable[node.name] and true or nil
  end
  local parsed, frozen = parsed_tasks(tasks)
  local judgement = absence.judge({
    now = now, grace = terms.node_grace_seconds, ttl = terms.session_ttl, live = #live, codec = self.codec,
    tasks = parsed, frozen = frozen, hosts = self.nodes.live_read and absent_hosts(self, live) or {},
    is_confirmed = function(id) return self.confirmations:has(id, now) end,
  })
  local nodes, held = add_gone(self, live, judgement)
  return {
    now = now, tasks = tasks, nodes = nodes, live = live, held = held, assignment_index = assignment_index,
    marks = self.holdings.marks, unheld = self.nodes.unheld,
    unreadable = unreadable, absence = judgement,
  }
end

local function index_by_key(entries)
  local index_of = {}
  for _, entry in ipairs(entries) do index_of[entry.key] = entry.index end
  return index_of
end

local function fail_commit(self, text)
  self.needs_audit, self.commit_error = true, text
end

--- Learns from one operation that was refused.
function Model:take_refusal(effect, text)
  -- Somebody made this version before us; it is immutable, so it is right.
  if effect.kind == "version" and not text:find("ermission denied") then
    self.holdings:note_existing(effect.task, effect.hash)
  end
  -- The token may neither see nor write it. It only spares work: it is not tried again before it is seen.
  if effect.key == "node/" then self.founded[effect.key] = math.huge end
end

--- What was of no use any more is deleted.
function Model:forget_leftover(key)
  local folder, name = key:match("^(%w+)/(.*)$")
  if folder == "live" then self.nodes.left[name] = nil else self.confirmations:forget(name) end
end

--- The keys that are of no use any more: of nodes that said that they leave and have nothing more, and confirmations that
-- count no more.
-- @tparam integer now unix s
-- @treturn {table,...} `key`, `index`, sorted by key
function Model:leftovers(now)
  local list = {}
  for host, index in pairs(self.nodes.left) do list[#list + 1] = { key = "live/" .. host, index = index } end
  for _, expired in ipairs(self.confirmations:expired(now)) do
    list[#list + 1] = { key = "confirm/" .. expired.id, index = expired.index }
  end
  table.sort(list, function(a, b) return a.key < b.key end)
  return list
end

--- Takes Consul's answer to a batch. Whatever is not a plain success leaves
-- unknown what the store holds: an audit has to say.
-- @tparam {table,...} effects of the batch, see batches.build
-- @tparam integer status HTTP status; 0 when there was no answer
-- @tparam string body Consul's answer
function Model:committed(effects, status, body)
  if status == 0 then return fail_commit(self, "it is not known whether a commit was written") end
  local entries, errors = listing.read_transaction(body, self.reading)
  if status == 200 and entries then
    local index_of = index_by_key(entries)
    for _, effect in ipairs(effects) do
      if effect and effect.kind == "assignment" and not index_of[effect.key] then
        return fail_commit(self, "Consul's answer lacks " .. effect.key)
      end
      if effect and effect.kind == "folder" then self.founded[effect.key] = index_of[effect.key] end
      if effect and effect.kind == "leftover" then self:forget_leftover(effect.key) end
    end
    self.holdings:apply(effects, index_of)
    return
  end
  local texts = {}
  for _, effect in ipairs(effects) do
    if effect and effect.kind == "folder" then self.folder_is_due = true end
  end
  for _, err in ipairs(entries and errors or {}) do
    texts[#texts + 1] = err.text
    self:take_refusal(effects[err.operation] or {}, err.text)
  end
  fail_commit(self, ("Consul answered %s to a commit: %s"):format(tostring(status), table.concat(texts, "; ")))
end

--- What operators should hear about what was read and written.
-- @treturn {table,...} `key`, `text`, sorted by key
function Model:problems()
  local list = {}
  for _, part in ipairs({ self.tasks, self.nodes, self.holdings }) do
    table.move(part:problems(), 1, #part:problems(), #list + 1, list)
  end
  for topic, reason in pairs(self.feed_errors) do
    local text = ("the answer for %s/ was not used: %s"):format(topic, reason)
    list[#list + 1] = { key = "feed/" .. topic, text = text }
  end
  if self.tasks.read and not self.tasks.has_folder and self.folder_is_due then
    list[#list + 1] = {
      key = "feed/task",
      text = "the listing of task/ lacks its folder key, so it is no answer; if this lasts, "
        .. "check that the token may read " .. self.prefix .. "task/",
    }
  end
  -- Right after the refusal the listing is an old one.
  if next(self.holdings.unlisted) and not self.needs_audit then
    list[#list + 1] = {
      key = "feed/version",
      text = "the listing of version/ lacks what Consul says is there; check that the token may list "
        .. self.prefix .. "version/",
    }
  end
  if self.commit_error then
    list[#list + 1] = { key = "commit", text = self.commit_error }
  end
  table.sort(list, function(a, b) return a.key < b.key or (a.key == b.key and a.text < b.text) end)
  return list
end

return Model
