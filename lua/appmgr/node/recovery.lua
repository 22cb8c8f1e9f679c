--- What agents remember of a store that was lost, and how it is written back.
--
-- Pure: from documents to a plan, from a plan to operations. Who reads and
-- writes them is appmgr.node.cluster.
local assignment = require("appmgr.assignment")
local task_document = require("appmgr.task")

local M = {}

-- A value of Consul holds 512 KiB; a little is left for what stands around it.
local MEMORY_BYTES = 500 * 1024
local BATCH_OPERATIONS, BATCH_BYTES = 60, 480 * 1024
local OPERATION_BYTES = 200

-- Memory --------------------------------------------------------------------

--- The document of `memory/<host>`: without the tasks, then without the versions, when it does not fit.
-- @tparam table facts `node`, `cluster` (id), `assignment` (nil or {replicas, versions}), `tasks` (nil or {listing, at})
-- @tparam table json
-- @treturn string
function M.encode_memory(facts, json)
  local kept = facts.assignment or {}
  local document = {
    node = facts.node, cluster = facts.cluster, tasks = facts.tasks, versions = kept.versions or {},
    replicas = json.array(kept.replicas or {}),
  }
  local text = json.encode(document)
  for _, field in ipairs({ "tasks", "versions" }) do
    if #text <= MEMORY_BYTES then break end
    document[field], document.truncated = nil, true
    text = json.encode(document)
  end
  return text
end

--- Reads one memory.
-- @treturn table|nil {node, cluster, replicas, versions, tasks, truncated}
-- @treturn ?string why not
function M.parse_memory(text, json)
  local document, err = json.decode(text or "")
  if type(document) ~= "table" then return nil, err or "no object" end
  if type(document.node) ~= "string" or type(document.cluster) ~= "string" then return nil, "no node or no cluster" end
  local replicas, reason = assignment.parse(json.encode({ replicas = document.replicas }), json)
  if not replicas then return nil, reason end
  document.replicas = replicas
  document.versions = type(document.versions) == "table" and document.versions or {}
  document.tasks = type(document.tasks) == "table" and document.tasks or nil
  return document
end

-- Plan ----------------------------------------------------------------------

local function by_name(list, field)
  table.sort(list, function(a, b) return a[field] < b[field] end)
  return list
end

--- Whether a slot is rather the first replica's host's: what leaves has a successor, or will get one.
local function is_rather(a, b)
  if (a.leaving == true) ~= (b.leaving == true) then return not a.leaving end
  return a.since < b.since
end

--- One slot runs on one host: of two that remember it, the one that had it first.
local function settle_slots(memories, notes)
  local owner = {}
  for _, memory in ipairs(memories) do
    for _, replica in ipairs(memory.replicas) do
      local id = replica.task .. "." .. replica.slot
      local other = owner[id]
      if not other or is_rather(replica, other.replica) then
        owner[id] = { host = memory.node, replica = replica }
      end
      if other then
        notes[#notes + 1] = ("%s is remembered by %s and %s; it stays on %s"):format(
          id, other.host, memory.node, owner[id].host)
      end
    end
  end
  return owner
end

--- What a host has that is another's leaves it as anything else does: it may run there.
local function as_of(replica, is_own)
  if is_own then return replica end
  local made = {}
  for name, value in pairs(replica) do made[name] = value end
  made.leaving = true
  return made
end

local function plan_hosts(memories, store, owner)
  local hosts = {}
  for _, memory in ipairs(memories) do
    local replicas = {}
    for index, replica in ipairs(memory.replicas) do
      replicas[index] = as_of(replica, owner[replica.task .. "." .. replica.slot].host == memory.node)
    end
    hosts[#hosts + 1] = { node = memory.node, replicas = replicas, index = store.assignments[memory.node] or 0 }
  end
  return hosts
end

local function plan_versions(memories)
  local seen, versions = {}, {}
  for _, memory in ipairs(memories) do
    for name, content in pairs(memory.versions) do
      local task, version = name:match("^([^/]+)/([^/]+)$")
      if task and not seen[name] and type(content) == "table" then
        seen[name] = true
        versions[#versions + 1] = { name = name, task = task, version = version, content = content }
      end
    end
  end
  return by_name(versions, "name")
end

--- The listing of tasks that was seen last, by whichever agent.
local function newest_listing(memories)
  local newest
  for _, memory in ipairs(memories) do
    local tasks = memory.tasks
    if tasks and type(tasks.listing) == "string" and (not newest or (tasks.at or 0) > newest.at) then
      newest = { listing = tasks.listing, at = tasks.at or 0, node = memory.node }
    end
  end
  return newest
end

--- Tasks that only their replicas tell of: the content of the newest one, as many as there are slots.
local function rebuild_task(replicas, versions, json)
  local newest, slots = nil, 0
  for _, replica in ipairs(replicas) do
    if not newest or replica.since > newest.since then newest = replica end
    slots = math.max(slots, replica.slot + 1)
  end
  local content = versions[newest.task .. "/" .. newest.version]
  if not content then return nil end
  local document = task_document.of_version(content)
  document.replication = slots
  return json.encode(document)
end

local function replicas_by_task(memories)
  local by_task = {}
  for _, memory in ipairs(memories) do
    for _, replica in ipairs(memory.replicas) do
      if not replica.leaving then
        by_task[replica.task] = by_task[replica.task] or {}
        table.insert(by_task[replica.task], replica)
      end
    end
  end
  return by_task
end

local function listed_tasks(newest, tools, notes)
  local tasks = {}
  if not newest then return tasks end
  local entries, err = tools.entries(newest.listing)
  if not entries then
    notes[#notes + 1] = ("the tasks that %s remembers cannot be read: %s"):format(newest.node, err)
  end
  for _, entry in ipairs(entries or {}) do
    local name = entry.key:match("^task/([^/]+)$")
    if name and entry.value then tasks[name] = { name = name, document = entry.value, source = "listing of " .. newest.node } end
  end
  return tasks
end

local function plan_tasks(memories, versions, store, tools, notes)
  local tasks = listed_tasks(newest_listing(memories), tools, notes)
  local contents = {}
  for _, version in ipairs(versions) do contents[version.name] = version.content end
  for name, replicas in pairs(replicas_by_task(memories)) do
    if not tasks[name] then
      local document = rebuild_task(replicas, contents, tools.json)
      if document then
        tasks[name] = { name = name, document = document, source = "replicas" }
      else
        notes[#notes + 1] = ('task "%s" runs, but nobody remembers its content; apply it again'):format(name)
      end
    end
  end
  local list = {}
  for name, task in pairs(tasks) do
    if store.tasks[name] then
      notes[#notes + 1] = ('task "%s" stands in Consul already and is left as it is'):format(name)
    else
      list[#list + 1] = task
    end
  end
  return by_name(list, "name")
end

--- Makes the plan.
-- @tparam string cluster the id that is to be restored
-- @tparam table memories array of `parse_memory`
-- @tparam table store what stands in Consul: `tasks` (set of names), `assignments` (host → index), `meta_index`
-- @tparam table tools `json`, `entries` (decodes a listing)
-- @treturn table {cluster, meta_index, hosts = {{node, replicas, index}…}, tasks = {{name, document (text), source}…},
--   versions = {{name, task, version, content}…}, notes = {text…}}: plain data, fit for JSON
function M.plan(cluster, memories, store, tools)
  local notes, ours = {}, {}
  for _, memory in ipairs(by_name(memories, "node")) do
    if memory.cluster == cluster then
      ours[#ours + 1] = memory
      if memory.truncated then notes[#notes + 1] = ("%s remembers more than Consul takes in one key"):format(memory.node) end
    else
      notes[#notes + 1] = ("%s remembers another cluster (%s) and is left out"):format(memory.node, memory.cluster)
    end
  end
  local versions = plan_versions(ours)
  local tasks = plan_tasks(ours, versions, store, tools, notes)
  local hosts = plan_hosts(ours, store, settle_slots(ours, notes))
  table.sort(notes)
  local json = tools.json
  for _, host in ipairs(hosts) do host.replicas = json.array(host.replicas) end
  return {
    cluster = cluster, meta_index = store.meta_index or 0, hosts = json.array(hosts), tasks = json.array(tasks),
    versions = json.array(versions), notes = json.array(notes),
  }
end

-- Execution -----------------------------------------------------------------

--- The operations of a plan, in the order they are written; meta is the last, so that the leader changes nothing
-- before everything stands.
local function operations(plan, known_versions, json)
  local list = { { verb = "cas", key = "task/", value = "", index = 0, optional = true } }
  for _, version in ipairs(plan.versions) do
    if not known_versions["version/" .. version.name] then
      list[#list + 1] = { verb = "cas", key = "version/" .. version.name, value = json.encode(version.content), index = 0 }
    end
  end
  for _, task in ipairs(plan.tasks) do
    list[#list + 1] = { verb = "cas", key = "task/" .. task.name, value = task.document, index = 0 }
  end
  for _, host in ipairs(plan.hosts) do
    list[#list + 1] = { verb = "cas", key = "assignment/" .. host.node, index = host.index,
      value = assignment.encode(host.replicas, json) }
    list[#list + 1] = { verb = "set", key = "topology/" .. host.node,
      value = json.encode(json.array(assignment.topology(host.replicas))) }
  end
  list[#list + 1] = { verb = "cas", key = "meta", index = plan.meta_index,
    value = json.encode({ schema = 1, cluster = plan.cluster }) }
  return list
end

--- Cuts a plan into transactions.
-- @tparam table plan of `plan`
-- @tparam table existing set of keys that stand in Consul (the folder key task/ and versions need not be written again)
-- @tparam table json
-- @treturn table array of arrays of operations for client.encode_transaction
function M.batches(plan, existing, json)
  local batches, batch, bytes = {}, {}, 0
  for _, operation in ipairs(operations(plan, existing, json)) do
    local size = #operation.value * 4 // 3 + #operation.key + OPERATION_BYTES
    local is_needed = not (operation.optional and existing[operation.key])
    if is_needed and #batch > 0 and (#batch >= BATCH_OPERATIONS or bytes + size > BATCH_BYTES) then
      batches[#batches + 1] = batch
      batch, bytes = {}, 0
    end
    if is_needed then
      batch[#batch + 1] = operation
      bytes = bytes + size
    end
  end
  batches[#batches + 1] = batch
  return batches
end

return M
