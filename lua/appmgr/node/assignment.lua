--- Follows `assignment/<host>`: what this node is to run.
--
--   long poll → parse → one read transaction (meta, still among the live?, versions that are lacking)
--             → cluster check → on_assignment → kept in the state directory
--
-- Only a document that was read whole, under the cluster id this node knows, by
-- a node that is still among the live, changes anything. An absent or unreadable one, a store in doubt, a failed
-- read: all leave what runs as it is, and are told as problems. What an agent heard that was frozen since, or that lost its
-- session and does not know it yet, may be another's by now. A version that
-- is missing or unusable concerns its own slots only.
local assignment = require("appmgr.assignment")
local fields = require("appmgr.fields")
local task_document = require("appmgr.task")

local M = {}

local Assignment = {}
Assignment.__index = Assignment

--- What each read transaction begins with: meta, and whether this node is among the live.
local CHECKS <const> = 2
--- Old servers take 64 operations in a transaction.
local VERSIONS_PER_READ <const> = 64 - CHECKS
local RETRY_FIRST_MS <const> = 500
--- The disk is written after the processes were started, not before.
local SAVE_DELAY_MS <const> = 100

--- @tparam table deps `client`, `watch` (the module appmgr.consul.watch), `timer`, `random`, `problems`, `json`,
--   `state`, `cluster` (`check(meta|nil)` → "ok", "adopted", "unknown" or "mismatch"), `node`, `fallback_ms`
--   (longest wait between two tries), `session` (function → the id of the session that this node is among the live by, and
--   since when there is that session, unix s or nil),
--   `on_assignment` (function(list, decided), see apps.set_replicas),
--   `on_taken_for_gone` (function(): the leader takes this node for gone, or will as soon as it looks)
-- @treturn Assignment stopped
function M.new(deps)
  local self = setmetatable({
    client = deps.client, timer = deps.timer, problems = deps.problems, json = deps.json,
    state = deps.state, cluster = deps.cluster, node = deps.node, fallback_ms = deps.fallback_ms,
    session = deps.session, on_assignment = deps.on_assignment, on_taken_for_gone = deps.on_taken_for_gone,
    key = "assignment/" .. deps.node, contents = {}, fences = {}, retry_ms = RETRY_FIRST_MS,
  }, Assignment)
  self.watch = deps.watch.new({
    client = deps.client, timer = deps.timer, random = deps.random, key = self.key, fallback_ms = deps.fallback_ms,
    deliver = function(answer) self:deliver(answer) end,
    on_error = function(err)
      self:tell("follow", err and ("cannot be followed: " .. err.message))
      if err then self:recall() end
    end,
  })
  return self
end

--- Raises or ends a problem of the assignment as a whole.
function Assignment:tell(what, reason)
  local key = "assignment/:" .. what
  if not reason then return self.problems:clear(key) end
  self.problems:set(key, ("%s %s; what runs on this node stays"):format(self.key, reason))
end

local function content_key(replica)
  return replica.task .. "/" .. replica.version
end

--- Reads the content of a version. Its name is the leader's business: it is not compared with the content.
-- @treturn table {document, application} or {error}
local function read_content(task, version, document)
  local app, findings = task_document.read_version(document)
  local first = findings.errors[1]
    or findings.unsupported[1] and fields.unsupported_text(findings.unsupported[1])
  if first then return { error = ("version/%s/%s: %s"):format(task, version, first) } end
  app.name = task
  return { document = document, application = app }
end

-- Fences ---------------------------------------------------------------------
--
-- A slot's fence is the ModifyIndex of the first document in which this node saw the slot with the `since` it has. It
-- is smaller than the fence of whoever gets the slot next: the leader takes the slot out of this document, or marks it,
-- before it gives it to another node, and Consul's indexes only grow. (It could not write a number itself that says as
-- much: the index of a commit is not known before it.) It is kept with the assignment, so that the next agent has the
-- same; one without that memory takes the index that it sees, which is at least as large. Indexes begin anew in a store
-- that was made anew, and with them the fences: docs/tasks.md says so.

local function slot_id(replica)
  return replica.task .. "." .. replica.slot
end

--- When a slot may be started that must not run twice, that was given to this name before the session was made, and
-- that it knows nothing of: somebody else had the name then (or this node, before it lost its memory), or the store is an
-- older one that was put back, and the slot is where it went since. Whoever that is has stopped it by then.
-- @treturn ?number ms of timer.now_ms(); nil: now
local function not_before(self, replica)
  local _, session_since = self.session()
  if not replica.stops_within or not session_since or replica.since >= session_since then return nil end
  return self.timer.now_ms() + replica.stops_within * 1000
end

--- Gives each replica its fence.
-- @tparam Assignment self `fences`: by slot, {since, fence, not_before_ms}; are those to know from now on afterwards
-- @tparam integer index of the document that holds the replicas
local function fence(self, replicas, index)
  local fences = {}
  for _, replica in ipairs(replicas) do
    local before = self.fences[slot_id(replica)]
    local is_same = before and before.since == replica.since and before.fence
    if not replica.leaving then
      replica.fence = is_same and before.fence or index
      if is_same then replica.not_before_ms = before.not_before_ms else replica.not_before_ms = not_before(self, replica) end
      fences[slot_id(replica)] = { since = replica.since, fence = replica.fence, not_before_ms = replica.not_before_ms }
    end
  end
  self.fences = fences
end

--- What is remembered of fences, by slot.
-- @tparam {replica,...} replicas as they were kept
-- @tparam number now_ms of a clock that may have begun anew since
local function remembered_fences(replicas, now_ms)
  local fences = {}
  for _, replica in ipairs(replicas) do
    local number, moment_ms = math.type(replica.fence) == "integer" and replica.fence or nil, nil
    if math.type(replica.not_before_ms) and math.type(replica.stops_within) then
      moment_ms = math.min(replica.not_before_ms, now_ms + replica.stops_within * 1000)
    end
    fences[slot_id(replica)] = { since = replica.since, fence = number, not_before_ms = moment_ms }
  end
  return fences
end

--- Hands the replicas on, each with its application or the reason why it has none.
local function apply(self, replicas, decided)
  local list, used, told = {}, {}, {}
  for index, replica in ipairs(replicas) do
    local key = content_key(replica)
    local content = self.contents[key] or {}
    used[key] = content.application and content or nil
    local reason = not content.application and not replica.leaving and (content.error
      or ("version/%s is not in Consul; apply the task again"):format(key)) or nil
    if reason then
      local problem = "assignment/" .. key
      told[problem] = true
      self.problems:set(problem, ('task "%s": %s; its slots on node "%s" stay as they are'):format(replica.task, reason,
        self.node))
    end
    list[index] = {
      task = replica.task, slot = replica.slot, version = replica.version, leaving = replica.leaving, ports = replica.ports,
      application = content.application, error = reason, fence = replica.fence,
      peers = replica.peers, not_before_ms = replica.not_before_ms,
    }
  end
  for _, what in ipairs({ "follow", "read", "versions" }) do told["assignment/:" .. what] = true end
  self.problems:clear_prefix("assignment/", told)
  self.contents = used
  self.on_assignment(list, decided)
end

--- Uses all that was remembered, if nothing usable was said yet.
local function recall_all(self)
  if self.replicas and not self.is_partial or not self.remembered then return end
  self.replicas, self.is_partial = self.remembered, false
  apply(self, self.replicas, false)
end

--- Uses what was remembered of the slots that Consul names: it is known that they are this node's, and not with which content.
local function recall_wanted(self)
  if self.replicas or not self.remembered then return end
  local named, list = {}, {}
  for _, replica in ipairs(self.wanted) do named[slot_id(replica)] = not replica.leaving end
  for _, replica in ipairs(self.remembered) do
    if named[slot_id(replica)] then list[#list + 1] = replica end
  end
  self.replicas, self.is_partial = list, true
  apply(self, list, false)
end

--- Writes what is in force, a moment later and once for many changes.
local function save_later(self)
  if self.saving then return end
  self.saving = self.timer.after(SAVE_DELAY_MS, function() self:save() end)
end

-- @treturn ?boolean true when the disk has it
local function save_now(self)
  if self.saving then self.saving:cancel() end
  self.saving = nil
  local versions = {}
  for key, content in pairs(self.contents) do versions[key] = content.document end
  return self.state:save_assignment(self.replicas, versions)
end

--- Writes what is in force now, if it was not written yet.
function Assignment:save()
  if self.saving then save_now(self) end
end

local function leaves_any(replicas)
  for _, replica in ipairs(replicas) do
    if replica.leaving then return true end
  end
  return false
end

local fetch

--- What Consul says cannot be used now, and is read again later.
local function retry_later(self)
  if self.retry then self.retry:cancel() end
  self.retry = self.timer.after(self.retry_ms, function()
    self.retry = nil
    fetch(self)
  end)
  self.retry_ms = math.min(self.retry_ms * 2, math.max(self.fallback_ms, RETRY_FIRST_MS))
end

--- All versions were read: checks whose store this is, and acts.
local function complete(self, meta, incomplete)
  local verdict = self.cluster:check(meta)
  -- A store in doubt is followed by its meta, and `refresh` comes when the doubt is over.
  if verdict == "mismatch" then return recall_all(self) end
  if verdict ~= "ok" and verdict ~= "adopted" then
    recall_all(self)
    return retry_later(self)
  end
  self:tell("versions", nil)
  self.replicas, self.acted_index, self.is_partial = self.wanted, self.wanted_index, false
  -- Once the leader is told that this is acted on it gives a slot that leaves to another node: from then on what is
  -- remembered must not start it again.
  if not leaves_any(self.replicas) then
    save_later(self)
  elseif not save_now(self) then
    self.state:forget_assignment()
    save_later(self)
  end
  apply(self, self.replicas, true)
  if incomplete then return retry_later(self) end
  self.retry_ms = RETRY_FIRST_MS
end

--- The versions that are wanted and not known, in order, without doubles.
local function lacking(self)
  local list, seen = {}, {}
  for _, replica in ipairs(self.wanted) do
    local key = content_key(replica)
    if not replica.leaving and not seen[key] and not (self.contents[key] and self.contents[key].application) then
      list[#list + 1] = { key = "version/" .. key, name = key, task = replica.task, version = replica.version }
    end
    seen[key] = true
  end
  return list
end

--- Takes the entries of one read.
-- @treturn ?string the value of meta
local function take_entries(self, entries, asked)
  local by_key, meta = {}, nil
  for _, version in ipairs(asked) do by_key[version.key] = version end
  for _, entry in ipairs(entries) do
    local version = by_key[entry.key]
    if entry.key == "meta" then meta = entry.value end
    if version then
      local document, err = self.json.decode(entry.value or "")
      self.contents[version.name] = document ~= nil and read_content(version.task, version.version, document)
        or { error = ("%s is no valid JSON: %s"):format(version.key, err or "null") }
    end
  end
  return meta
end

--- What a refused read says: which version is missing, or why all failed.
-- @treturn ?integer position among those asked for; 0: this node is not among the live
-- @treturn string reason
local function refusal(self, answer)
  local decoded, err = self.client.transaction_answer(answer.body)
  local first = decoded and decoded.errors[1]
  if not first then return nil, err or "Consul refused the read" end
  if first.operation == CHECKS and first.message:find("session", 1, true) then return 0, first.message end
  local is_missing = first.operation > CHECKS and first.message:find("doesn't exist", 1, true)
  -- A missing key is the only thing that is no fault.
  if is_missing then return first.operation - CHECKS, first.message end
  return nil, first.message
end

--- This node is not among the live: its slots may be others'. It is to be again first, and what it was given then counts.
local function not_live(self)
  self:tell("versions", "is not acted on: this node is not among the live")
  self.on_taken_for_gone()
  retry_later(self)
end

--- Reads meta and as many versions as one read takes; calls itself until none is left.
local function read_some(self, generation, versions, incomplete)
  local asked = table.move(versions, 1, math.min(#versions, VERSIONS_PER_READ), 1, {})
  local operations = {
    { verb = "get-tree", key = "meta" }, { verb = "check-session", key = "live/" .. self.node, session = self.session() },
  }
  for index, version in ipairs(asked) do operations[index + CHECKS] = { verb = "get", key = version.key } end
  local function failed(reason)
    self:tell("versions", "was read, but not the versions it names: " .. reason)
    recall_wanted(self)
    retry_later(self)
  end
  self.reading = self.client:transaction(self.client.encode_transaction(operations), {}, function(answer, err)
    if generation ~= self.generation then return end
    self.reading = nil
    if err then return failed(err.message) end
    if answer.status ~= 200 then
      local missing, reason = refusal(self, answer)
      if not missing then return failed(reason) end
      if missing == 0 then return not_live(self) end
      table.remove(versions, missing)
      return read_some(self, generation, versions, true)
    end
    local decoded, wrong = self.client.transaction_answer(answer.body)
    if not decoded then return failed(wrong) end
    local meta = take_entries(self, decoded.entries, asked)
    local rest = table.move(versions, #asked + 1, #versions, 1, {})
    if #rest > 0 then return read_some(self, generation, rest, incomplete) end
    complete(self, meta, incomplete)
  end)
end

--- Ends a read or a retry that is under way.
local function cancel(self)
  self.generation = (self.generation or 0) + 1
  if self.reading then self.reading:cancel() end
  if self.retry then self.retry:cancel() end
  self.reading, self.retry = nil, nil
end

function fetch(self)
  cancel(self)
  read_some(self, self.generation, lacking(self), false)
end

--- The document cannot be used: that is told, and what is in force stays.
local function unusable(self, reason)
  self:recall()
  self:tell("read", reason)
end

--- There is no assignment, and no other says why: in the store of this node's cluster that is how a leader leaves a node that
-- was gone too long. What is remembered is another's by now. In a store that is in doubt it says nothing.
local function ask_whose_store(self)
  cancel(self)
  local generation = self.generation
  self.reading = self.client:get("meta", {}, function(answer, err)
    if generation ~= self.generation then return end
    self.reading = nil
    local entries = answer and (answer.status == 404 and {} or self.client.entries(answer.body))
    if err or not entries then return self:recall() end
    local verdict = self.cluster:check(entries[1] and entries[1].value)
    if verdict ~= "ok" and verdict ~= "adopted" then return recall_all(self) end
    self.remembered = nil
    self.state:forget_assignment()
  end)
end

--- What was given is not there, or nothing was given yet: a node that waits for its first assignment has no problem.
local function absent(self)
  if not self.replicas and self.remembered then ask_whose_store(self) end
  self:tell("read", self.replicas and "is not there any more" or nil)
  -- The leader removes what belongs to a node that is gone. That this one is not gone, it has to show.
  if self.wanted then self.on_taken_for_gone() end
end

--- What the long poll delivers.
function Assignment:deliver(answer)
  self:tell("follow", nil)
  local text, modify_index
  if answer.status == 200 then
    local entries, err = self.client.entries(answer.body)
    if not entries then return unusable(self, "cannot be read: " .. err) end
    for _, entry in ipairs(entries) do
      if entry.key == self.key then text, modify_index = entry.value or "", entry.modify_index end
    end
  end
  if not text then return absent(self) end
  local replicas, reason = assignment.parse(text, self.json)
  if not replicas then return unusable(self, "cannot be read: " .. reason) end
  self:tell("read", nil)
  fence(self, replicas, modify_index)
  self.wanted, self.wanted_index, self.retry_ms = replicas, modify_index, RETRY_FIRST_MS
  fetch(self)
end

--- Reads what the state directory remembers, for `recall`.
function Assignment:restore()
  local kept = self.state:load_assignment()
  if not kept then return end
  local replicas, reason = assignment.parse(self.json.encode({ replicas = kept.replicas }), self.json)
  if not replicas then return self:tell("read", "as it was remembered cannot be used: " .. reason) end
  for _, replica in ipairs(replicas) do
    local document = kept.versions[content_key(replica)]
    if document ~= nil then
      self.contents[content_key(replica)] = read_content(replica.task, replica.version, document)
    end
  end
  self.fences = remembered_fences(kept.replicas, self.timer.now_ms())
  for _, replica in ipairs(replicas) do
    local known = self.fences[slot_id(replica)]
    replica.fence, replica.not_before_ms = known.fence, known.not_before_ms
  end
  self.remembered = replicas
end

--- Uses what was remembered, if Consul has not said anything usable yet; once it has named slots, or is to, of these
-- alone, as the others may be somebody else's by now. Nothing is stopped by it.
function Assignment:recall()
  if self.wanted then
    recall_wanted(self)
  elseif not self.must_be_named then
    recall_all(self)
  end
end

--- This node's session had ended, and with it what the node had: what it remembers counts only where Consul names it, or is
-- in doubt.
function Assignment:session_had_ended()
  self.must_be_named = true
end

--- Which assignment is acted on, for the leader to know.
-- @treturn integer its ModifyIndex; 0 while what is in force, if anything, is what was remembered
function Assignment:acted_on()
  return self.acted_index or 0
end

--- Begins to follow.
function Assignment:start()
  if self.is_following then return end
  self.is_following = true
  self.watch:start()
end

--- Asks Consul past every cache whether what is in force is what stands there; what stands there instead is acted on.
-- @tparam function callback called with true when it is
function Assignment:confirm(callback)
  self.client:get(self.key, { consistent = true }, function(answer)
    if not answer or not self.is_following then return callback(false) end
    local entry = (answer.status == 200 and self.client.entries(answer.body) or {})[1]
    if entry and entry.modify_index == self.acted_index then return callback(true) end
    if not entry or entry.modify_index ~= self.wanted_index then self:deliver(answer) end
    callback(false)
  end)
end

--- Looks again, because the cluster's id was settled.
function Assignment:refresh()
  if self.is_following and self.wanted then fetch(self) end
end

--- Ends following. What is in force stays so.
function Assignment:stop()
  if self.is_following then self.watch:stop() end
  self.is_following = false
  cancel(self)
  self:save()
end

return M
