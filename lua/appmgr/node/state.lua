--- What a node remembers in its state directory.
--
--   node.json          who this is: node, machine_id, incarnation, cluster, session
--   assignment.json    the last assignment that was acted on, with its versions
--   applications.json  local applications added by hand, and which were enabled or disabled by hand
--   tasks.json         the last listing of tasks as Consul gave it, kept by an agent that led
--   runs.json          of applications that run at times: what was begun, and how it ended
--
-- Each file is replaced whole, so that a reader finds the old or the new one.
-- A file that cannot be understood counts as absent and is told as a problem:
-- it never stops the agent. What the disk refuses is told, and tried again until
-- the file has it. Only a directory that another agent holds, or that
-- belongs to another node, does.
local M = {}

local State = {}
State.__index = State

local NODE_FILE, ASSIGNMENT_FILE, TASKS_FILE = "node.json", "assignment.json", "tasks.json"
local APPLICATIONS_FILE = "applications.json"
local RUNS_FILE = "runs.json"
--- How often the disk is tried again that refused something.
local RETRY_MS <const> = 5000

--- Makes the directory when it is missing (mode 0700) and takes its lock.
local function claim_directory(file, path)
  local found = file.stat(path)
  if found and found.type ~= "directory" then
    return nil, ("state directory %s: it is no directory; choose another with --state-dir"):format(path)
  end
  if not found then
    local made, err = file.mkdir(path, 448) -- 0700
    if not made then return nil, ("state directory: %s; choose another with --state-dir"):format(err) end
  end
  local lock, err = file.lock(path .. "/lock")
  if not lock then
    return nil, ("state directory %s: %s; each agent needs a --state-dir of its own"):format(path, err)
  end
  return lock
end

--- Reads one file. An absent one is `nil` without a reason.
local function read_object(self, name)
  local path = self.path .. "/" .. name
  if not self.file.stat(path) then return nil end
  local text, err = self.file.read(path)
  local value
  if text then value, err = self.json.decode(text) end
  if text and value ~= nil and type(value) ~= "table" then value, err = nil, "it holds no object" end
  if type(value) ~= "table" then return nil, ("state file %s cannot be used: %s"):format(path, err) end
  return value
end

--- Reads one file; one that cannot be used is told as a problem and counts as absent.
local function read_document(self, name)
  local value, err = read_object(self, name)
  if err then
    self.problems:set("state/" .. name, err .. "; the agent goes on without it")
    return nil
  end
  self.problems:clear("state/" .. name)
  return value
end

local retry_later

--- Replaces one file. A failure is told as a problem and again as the result, and the disk is tried again.
-- @tparam function write `file.write_atomic` or `file.replace`
local function write_file(self, name, text, write)
  local path, key = self.path .. "/" .. name, "state/" .. name
  local written, err = write(path, text, 384) -- 0600
  if not written then
    self.problems:set(key, ("cannot keep state: %s; what is in force goes on, but is not remembered; it is tried again")
      :format(err))
    self.refused[name] = { text = text, write = write }
    retry_later(self)
    return nil, err
  end
  self.refused[name] = nil
  self.problems:clear(key)
  return true
end

function retry_later(self)
  if self.retry then return end
  self.retry = self.timer.after(RETRY_MS, function()
    local refused = self.refused
    self.retry, self.refused = nil, {}
    for name, item in pairs(refused) do write_file(self, name, item.text, item.write) end
  end)
end

local function write_document(self, name, value)
  return write_file(self, name, self.json.encode(value) .. "\n", self.file.write_atomic)
end

--- Takes over or begins the record of this node.
-- @treturn boolean|nil, string `nil, err` when the directory is another node's
local function adopt_node(self)
  local kept = read_document(self, NODE_FILE) or {}
  if type(kept.node) == "string" and kept.node ~= self.node then
    return nil, ('state directory %s belongs to node "%s", not to "%s"; give --node %s or another --state-dir'):format(
      self.path, kept.node, self.node, kept.node)
  end
  self.moved = type(kept.machine_id) == "string" and kept.machine_id ~= self.machine_id
  if self.moved then
    self.problems:set("state/machine", ("state directory %s was copied from another machine: its session and its"
      .. " last assignment are not used"):format(self.path))
  end
  self.record = {
    node = self.node,
    machine_id = self.machine_id,
    incarnation = (math.type(kept.incarnation) == "integer" and kept.incarnation or 0) + 1,
    cluster = kept.cluster,
    session = not self.moved and kept.session or nil,
  }
  return true
end

--- Opens a state directory: makes it, locks it, reads `node.json` and counts the incarnation.
-- The lock is held until the process ends.
-- @tparam table deps `file`, `timer`, `json`, `problems`, `path`, `node`, `machine_id`
-- @treturn State|nil
-- @treturn ?string why not, with the next step
function M.open(deps)
  local lock, err = claim_directory(deps.file, deps.path)
  if not lock then return nil, err end
  local self = setmetatable({
    file = deps.file, timer = deps.timer, json = deps.json, problems = deps.problems,
    path = deps.path, node = deps.node, machine_id = deps.machine_id, lock = lock, refused = {},
  }, State)
  local ours, why = adopt_node(self)
  if not ours then return nil, why end
  local written, reason = write_document(self, NODE_FILE, self.record)
  if not written and not deps.file.stat(deps.path .. "/" .. NODE_FILE) then
    return nil, ("state directory %s cannot be written: %s; choose another with --state-dir"):format(deps.path, reason)
  end
  return self
end

--- One field of the node's record.
-- @tparam string name `node`, `machine_id`, `incarnation`, `cluster` or `session`
-- @return the value (borrowed, not to be changed), nil when there is none
function State:get(name)
  return self.record[name]
end

--- Changes one field and writes the record, unless the value is what it was.
-- @tparam string name
-- @param value anything JSON can hold; nil removes the field
-- @treturn boolean|nil, string `nil, err` when the disk refuses: the value holds until the agent ends
function State:set(name, value)
  local before = self.record[name]
  if before == value then return true end
  if type(before) == "table" and type(value) == "table" and self.json.encode(before) == self.json.encode(value) then
    return true
  end
  self.record[name] = value
  return write_document(self, NODE_FILE, self.record)
end

--- The last assignment, if it is still this node's own.
-- @treturn ?table {replicas, versions} as given to `save_assignment`; nil when there is none, when it
--   came from another machine, or when it was given by another cluster than the one known
function State:load_assignment()
  local kept = read_document(self, ASSIGNMENT_FILE)
  if not kept or self.moved then return nil end
  if kept.node ~= self.node or kept.machine_id ~= self.machine_id or kept.cluster ~= self.record.cluster
    or type(kept.replicas) ~= "table" or type(kept.versions) ~= "table" then
    self.problems:set("state/" .. ASSIGNMENT_FILE,
      ("state file %s/%s is not this node's: it is not used"):format(self.path, ASSIGNMENT_FILE))
    return nil
  end
  return kept
end

--- Keeps the assignment that is in force.
-- @tparam table replicas array of {task, slot, version, since, leaving}
-- @tparam table versions `<task>/<hash>` → content
-- @treturn boolean|nil, string
function State:save_assignment(replicas, versions)
  return write_document(self, ASSIGNMENT_FILE, {
    node = self.node, machine_id = self.machine_id, cluster = self.record.cluster,
    replicas = self.json.array(replicas), versions = versions,
  })
end

--- Forgets the assignment: this node gave its slots up.
function State:forget_assignment()
  self.refused[ASSIGNMENT_FILE] = nil
  local removed, err = self.file.remove(self.path .. "/" .. ASSIGNMENT_FILE)
  if not removed and self.file.stat(self.path .. "/" .. ASSIGNMENT_FILE) then
    return self.problems:set("state/" .. ASSIGNMENT_FILE, ("cannot forget the last assignment: %s"):format(err))
  end
  self.problems:clear("state/" .. ASSIGNMENT_FILE)
end

--- Whether a value is an object of objects (or of arrays: what they hold is the reader's to check).
local function is_map_of_tables(value)
  if type(value) ~= "table" then return false end
  for name, item in pairs(value) do
    if type(name) ~= "string" or type(item) ~= "table" then return false end
  end
  return true
end

--- What was said of local applications by hand.
-- @treturn ?table as given to `save_applications`; nil when nothing was
-- @treturn ?string why nobody knows
function State:load_applications()
  local kept, err = read_object(self, APPLICATIONS_FILE)
  if kept and not (is_map_of_tables(kept.added) and is_map_of_tables(kept.status)) then
    return nil, ("state file %s/%s cannot be used: it holds something else than applications"):format(self.path,
      APPLICATIONS_FILE)
  end
  return kept, err
end

--- Keeps that. A failure is the caller's to tell: it refuses the change.
-- @tparam table applications `added` (name → document) and `status` (name → override)
-- @treturn boolean|nil, string
function State:save_applications(applications)
  return self.file.write_atomic(self.path .. "/" .. APPLICATIONS_FILE, self.json.encode(applications) .. "\n", 384) -- 0600
end

--- The tasks an agent saw when it led, for a store that was lost.
-- @treturn ?table `listing` (bytes, as given to `save_tasks`), `at` (unix s)
function State:load_tasks()
  local path = self.path .. "/" .. TASKS_FILE
  local found = self.file.stat(path)
  local listing = found and self.file.read(path)
  return listing and { listing = listing, at = found.mtime_s }
end

--- Keeps a listing of tasks. It grows with the cluster and is one copy of several: the loop neither encodes it nor
-- waits for the disk.
-- @tparam string listing Consul's bytes
-- @treturn boolean|nil, string
function State:save_tasks(listing)
  return write_file(self, TASKS_FILE, listing, self.file.replace)
end

--- What was begun of applications that run at times.
-- @treturn ?table as given to `save_runs`; nil when it came from another machine, too
function State:load_runs()
  if self.moved then return nil end
  return read_document(self, RUNS_FILE)
end

--- @tparam table runs by the application's id
-- @treturn boolean|nil, string
function State:save_runs(runs)
  return write_document(self, RUNS_FILE, runs)
end

return M
