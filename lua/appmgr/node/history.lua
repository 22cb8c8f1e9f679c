--- How the runs of this node's applications began and ended: one small file an application, in the state directory.
--
-- A run is written when the keeper tells its end, before the keeper is told that
-- this is known: an agent that is killed in between is told again, and what then
-- stands in the file twice is read as one. What a disk refuses is held in memory
-- until it takes it, and until then the keeper keeps the exit, and all after it.
--
-- Each record begins on a line of its own, so that one that was cut (a full
-- disk) spoils no other. A file that has grown is cut to its newest records.
local M = {}

local History = {}
History.__index = History

--- How many runs are kept of one application.
M.KEPT = 100
--- When a file is cut: room for twice as many records of the usual kind.
local MAX_BYTES <const> = 32 * 1024
--- How often the disk is tried again that refused something, and how much is held meanwhile: as many exits as the keeper keeps.
local RETRY_MS <const>, HELD <const> = 5000, 4096
--- Errors name paths, which can be long.
local MAX_ERROR_BYTES <const> = 200

--- @tparam table deps `file` (core.file), `timer`, `json`, `problems`, `path` (the folder; made when missing)
-- @treturn ?History
-- @treturn ?string why the folder cannot be used
function M.open(deps)
  local made, err = deps.file.mkdir(deps.path, 448) -- 0700
  if not made then return nil, ("no folder for the history of applications: %s"):format(err) end
  return setmetatable({
    file = deps.file, timer = deps.timer, json = deps.json, problems = deps.problems, path = deps.path, held = {},
  }, History)
end

local function path_of(self, id)
  return ("%s/%s"):format(self.path, id)
end

--- Whether a record is one, and not the end of a run that was told before.
local function is_new(record, seen)
  if type(record) ~= "table" then return false end
  if not math.type(record.ended) then return math.type(record.failed) ~= nil end
  local key = ("%s/%s/%s"):format(record.pid, record.started, record.ended)
  local is_first = not seen[key]
  seen[key] = true
  return is_first
end

--- The records of a file, oldest first, each once.
local function parse(self, text)
  local records, seen = {}, {}
  for line in text:gmatch("[^\n]+") do
    local record = self.json.decode(line)
    if is_new(record, seen) then records[#records + 1] = record end
  end
  return records
end

local function text_of(self, records)
  local lines = {}
  for index, record in ipairs(records) do lines[index] = "\n" .. self.json.encode(record) end
  return table.concat(lines)
end

local function newest(records, count)
  return table.move(records, math.max(1, #records - count + 1), #records, 1, {})
end

local function cut(self, path)
  local text, err = self.file.read(path)
  if not text then return nil, err end
  return self.file.replace(path, text_of(self, newest(parse(self, text), M.KEPT)))
end

local function tell_cut(self, done, err)
  if done then return self.problems:clear("history/cut") end
  self.problems:set("history/cut", ("how an application ended is kept in a file that grows: it cannot be cut: %s; it is"
    .. " tried again when the application ends"):format(err))
end

--- Returns false when the disk refuses, which is told as a problem.
local function append(self, id, record)
  local path = path_of(self, id)
  local size, err = self.file.append(path, text_of(self, { record }))
  if not size then
    self.problems:set("history", ("how applications ended is not kept on the disk: %s; it is tried again"):format(err))
    return false
  end
  -- A file that cannot be cut has the record all the same: adding it once more would only let the file grow.
  if size > MAX_BYTES then tell_cut(self, cut(self, path)) end
  return true
end

--- Writes what is held, up to the first that is refused.
local function write_held(self)
  local held, count = self.held, 0
  for _, item in ipairs(held) do
    if item.record and not append(self, item.id, item.record) then break end
    if item.done then item.done() end
    count = count + 1
  end
  self.held = table.move(held, count + 1, #held, 1, {})
  if #self.held == 0 then self.problems:clear("history") end
end

local function retry_later(self)
  if self.retry then return end
  self.retry = self.timer.after(RETRY_MS, function()
    self.retry = nil
    write_held(self)
    if #self.held > 0 then retry_later(self) end
  end)
end

local function record_of(event, now)
  if event.type == "exited" then
    return {
      pid = event.pid, started = event.started_at, ended = event.at or now, ran_ms = event.ran_ms, code = event.code,
      signal = event.signal, next = event.next, out_of_memory = event.out_of_memory,
    }
  end
  return { failed = now, error = event.error and event.error:sub(1, MAX_ERROR_BYTES), next = event.next }
end

--- Keeps the end of a run, or a start that failed. A disk that refuses is told as a problem, and tried again.
-- @tparam ?string id the keeper's; nil: nothing is to be kept, but what was said before may still have to be
-- @tparam table event "exited" or "spawn_failed" as from core.process
-- @tparam number now unix time in seconds
-- @tparam ?function done called when it is on the disk, and all that was said before it
function History:note(id, event, now, done)
  local record = id and record_of(event, now) or nil
  if #self.held == 0 and (not record or append(self, id, record)) then
    if done then done() end
    return
  end
  if #self.held == HELD then table.remove(self.held, 1) end
  self.held[#self.held + 1] = { id = id, record = record, done = done }
  retry_later(self)
end

--- The last runs that ended and starts that failed, oldest first.
-- @tparam string id
-- @tparam integer count at most so many
-- @treturn {table,...} {pid, started, ended, ran_ms, code or signal, next} or {failed, error, next}; times are unix
--   times in seconds; neither code nor signal: nobody saw the end; `next` is "restart", "stop" (it was asked to stop) or "none"
function History:read(id, count)
  local held = {}
  for _, item in ipairs(self.held) do
    if item.id == id then held[#held + 1] = item.record end
  end
  return newest(parse(self, (self.file.read(path_of(self, id)) or "") .. text_of(self, held)), count)
end

--- Drops what is kept of an application that is no longer on this node.
function History:forget(id)
  for _, item in ipairs(self.held) do
    if item.id == id then item.id, item.record = nil, nil end
  end
  self.file.remove(path_of(self, id))
end

--- Drops what is kept of all others: they went while no agent ran.
-- @tparam table ids set of those to keep
function History:keep_only(ids)
  for _, id in ipairs(self.file.list(self.path) or {}) do
    if not ids[id] then self:forget(id) end
  end
end

return M
