--- A keeper's client that keeps records as the keeper does; stands in for `core.process`.
--
--     local keeper = require("spec.support.fake_process").new()
--     keeper.on_event = function(event) … end
--     … code under test spawns and stops …
--     keeper.run(id)              -- it started
--     keeper.exit(id, { code = 1, next = "restart" })
--     keeper.finish(id)           -- the group of a stopped one is gone
--     keeper.wall = 1600000000    -- what its clock shows from now on
--     keeper.refuse_spawn = "too large"
--     keeper.renewed_ms           -- what was handed on of leases
--     keeper.calls                -- "spawn web", "stop web" … by the name in the tag

local M = {}

local json = require("spec.support.core").json

local GONE = { stopped = true, failed = true }

--- @treturn table client of core.process with `records`, `calls`, `list()` and the steps above
function M.new()
  local keeper = { records = {}, calls = {}, acknowledged = {}, ended = {}, signals = {}, next_pid = 100, sequence = 0 }

  local function note(what, id)
    local record = keeper.records[id]
    local tag = record and json.decode(record.tag or "") or nil
    keeper.calls[#keeper.calls + 1] = ("%s %s"):format(what, tag and tag.name or id)
  end

  local function emit(event)
    if keeper.on_event then keeper.on_event(event) end
  end

  function keeper:spawn(spec)
    if self.refuse_spawn then return nil, self.refuse_spawn end
    local record = self.records[spec.id]
    local is_new = not record or GONE[record.state]
    if is_new then
      self.records[spec.id] = { id = spec.id, tag = spec.tag, spec = spec, state = "starting", starts = 0 }
    end
    note(is_new and "spawn" or "spawn-again", spec.id)
  end

  function keeper:stop(id)
    note("stop", id)
    local record = self.records[id]
    if record then record.state = "stopping" end
  end

  function keeper:update(id, changes)
    local record = assert(self.records[id], "an update of what the keeper does not know")
    record.tag = changes.tag or record.tag
    record.updated = changes
    note("update", id)
  end

  function keeper:forget(id)
    note("forget", id)
    self.records[id] = nil
  end

  function keeper:renew(at_ms) self.renewed_ms = at_ms end
  function keeper:end_run(id) self.ended[#self.ended + 1] = id end
  function keeper:signal(id, number) self.signals[#self.signals + 1] = { id, number } end
  function keeper:set_ready(id, starts) self.records[id].ready_starts = starts end

  function keeper:acknowledge(sequence) self.acknowledged[#self.acknowledged + 1] = sequence end
  function keeper:upgrade(fn)
    self.upgrade_callback = fn
    return true
  end
  function keeper:shutdown(fn) self.shutdown_callback = fn end
  function keeper:close() self.is_closed = true end

  --- The process of a record began.
  function keeper.run(id)
    local record = keeper.records[id]
    keeper.next_pid = keeper.next_pid + 1
    record.state, record.pid, record.starts = "running", keeper.next_pid, record.starts + 1
    record.started_at = keeper.wall or 1600000000.5
    emit({ type = "started", id = id, pid = record.pid, started_at = record.started_at, starts = record.starts })
  end

  --- It ended. `how`: code or signal, next, delay_ms.
  function keeper.exit(id, how)
    local record = keeper.records[id]
    keeper.sequence = keeper.sequence + 1
    record.pid = nil
    if how.next ~= "stop" then record.state = how.next == "restart" and "backoff" or "failed" end
    local at = (keeper.wall or 1600000009.0) + keeper.sequence
    record.last_exit = { code = how.code, signal = how.signal, at = at }
    emit({
      type = "exited", id = id, sequence = keeper.sequence, code = how.code, signal = how.signal, at = at,
      started_at = record.started_at,
      next = how.next, delay_ms = how.delay_ms or 1000, ran_ms = how.ran_ms,
    })
  end

  --- The group of a stopped one is gone.
  function keeper.finish(id)
    keeper.records[id].state, keeper.records[id].pid = "stopped", nil
    emit({ type = "stopped", id = id })
  end

  --- What `list` answers after a connection.
  function keeper.list()
    local list = {}
    for _, record in pairs(keeper.records) do
      list[#list + 1] = {
        id = record.id, tag = record.tag, state = record.state, pid = record.pid, starts = record.starts,
        started_at = record.started_at, last_exit = record.last_exit, ready = record.ready_starts == record.starts, next = record.next,
      }
    end
    table.sort(list, function(a, b) return a.id < b.id end)
    return list
  end

  --- The id under which a name runs.
  function keeper.id_of(name)
    for id, record in pairs(keeper.records) do
      if record.tag and json.decode(record.tag).name == name then return id end
    end
  end

  return keeper
end

return M
