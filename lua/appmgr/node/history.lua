--- How the runs of this node's applications began and ended: one small file an application, in the state directory.
--
-- A run is written when the keeper tells its end, before the keeper is told that
-- this is known: an agent that is killed in between is told again, and what then
-- stands in the file twice is read as one. Nothing is held in memory.
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
--- Errors name paths, which can be long.
local MAX_ERROR_BYTES <const> = 200

--- @tparam table deps `file` (core.file), `json`, `problems`, `path` (the folder; made when missing)
-- @treturn ?History
-- @treturn ?string why the folder cannot be used
function M.open(deps)
  local made, err = deps.file.mkdir(deps.path, 448) -- 0700
  if not made then return nil, ("no folder for the history of applications: %s"):format(err) end
  return setmetatable({ file = deps.file, json = deps.json, problems = deps.problems, path = deps.path }, History)
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
  local text = self.file.read(path)
  if not text then return nil end
  return self.file.replace(path, text_of(self, newest(parse(self, text), M.KEPT)))
end

local function append(self, id, record)
  local path = path_of(self, id)
  local size, err = self.file.append(path, text_of(self, { record }))
  if size and size > MAX_BYTES then
    local done
    done, err = cut(self, path)
    size = done and size
  end
  if size then return self.problems:clear("history") end
  self.problems:set("history", ("how applications ended is not kept: %s"):format(err))
end

--- Keeps the end of a run, or a start that failed. A disk that refuses is told as a problem.
-- @tparam string id the keeper's
-- @tparam table event "exited" or "spawn_failed" as from core.process
-- @tparam number now unix time in seconds
function History:note(id, event, now)
  if event.type == "exited" then
    return append(self, id, {
      pid = event.pid, started = event.started_at, ended = event.at or now, ran_ms = event.ran_ms, code = event.code,
      signal = event.signal, next = event.next,
      out_of_memory = event.out_of_memory,
    })
  end
  append(self, id, { failed = now, error = event.error and event.error:sub(1, MAX_ERROR_BYTES), next = event.next })
end

--- The last runs that ended and starts that failed, oldest first.
-- @tparam string id
-- @tparam integer count at most so many
-- @treturn {table,...} {pid, started, ended, ran_ms, code or signal, next} or {failed, error, next}; times are unix
--   times in seconds; neither code nor signal: nobody saw the end; `next` is "restart", "stop" (it was asked to stop) or "none"
function History:read(id, count)
  local text = self.file.read(path_of(self, id))
  return newest(text and parse(self, text) or {}, count)
end

--- Drops what is kept of an application that is no longer on this node.
function History:forget(id)
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
