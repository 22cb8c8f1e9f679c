--- What this node tells the others: `status/<host>/resource` and `status/<host>/applications`.
--
-- Both keys are locked by the node's session, so that they end with it. Each
-- `report_interval` both are written in one transaction; when an application
-- changes, the key of applications alone is written: at once the first time,
-- then at most every 100 ms, and only when its text is another one. One
-- transaction is on its way at a time.
--
-- The flags of the key of applications are the ModifyIndex of the assignment that they follow, 0 when none was read since
-- the agent started. The leader takes a slot that is not shown for one that left only when the node knew that it was to.
--
-- Consul takes transactions of at most 512 KiB. Rows that would not fit are
-- made smaller in the steps of `DETAIL`; the resource key then says
-- `"applications_detail"` with the step's name. A row is never left out: the
-- leader reads an absent slot as one that does not run.
local M = {}

local Report = {}
Report.__index = Report

--- What a transaction's body may have, with room for what a proxy adds.
local MAX_BODY_BYTES <const> = 512 * 1024 - 1024
local AT_ONCE_MS <const> = 100

local function without(...)
  local dropped = {}
  for _, name in ipairs({ ... }) do dropped[name] = true end
  return function(name) return not dropped[name] end
end

local function only(...)
  local kept = {}
  for _, name in ipairs({ ... }) do kept[name] = true end
  return function(name) return kept[name] end
end

--- The steps by which rows are made smaller, in the order in which they are tried.
local DETAIL = {
  { name = "full", keep = function() return true end },
  { name = "short", keep = without("comments", "description", "env", "working_dir", "user", "command", "restart",
    "init_command", "fini_command", "health_check", "health_check_cmd") },
  { name = "core", keep = only("id", "name", "status", "state", "pid", "return", "health", "task", "slot", "version") },
  { name = "least", keep = only("status", "state", "task", "slot", "version") },
}
M.DETAIL = DETAIL

local function shrink(rows, keep)
  local small = {}
  for name, row in pairs(rows) do
    local copy = {}
    for field, value in pairs(row) do
      if keep(field) then copy[field] = value end
    end
    small[name] = copy
  end
  return small
end

--- @tparam table deps `client` (Consul), `timer`, `problems`, `json`, `clock`, `node`, `interval_ms`, `session`
--   (function returning the held session's id or nil), `resource` (function returning the fields of the
--   resource key but `systime`), `rows` (function returning rows by name, or nil while what runs is not known),
--   `acted_on` (function returning the index of the assignment that is acted on),
--   `sample` (function(callback), called before each report of the interval: measures what costs, then calls back),
--   `doubt_session` (function(): the session may be gone), `on_written` (function(), a report of the interval is written:
--   whatever else is due to Consul soon is done along with it, instead of waking for it alone)
-- @treturn Report stopped
function M.new(deps)
  return setmetatable({
    client = deps.client, timer = deps.timer, problems = deps.problems, json = deps.json, clock = deps.clock,
    interval_ms = deps.interval_ms, session = deps.session, resource = deps.resource, rows = deps.rows, acted_on = deps.acted_on,
    sample = deps.sample, doubt_session = deps.doubt_session, on_written = deps.on_written,
    resource_key = "status/" .. deps.node .. "/resource",
    applications_key = "status/" .. deps.node .. "/applications",
    detail = 1, written = {}, last_at_once_ms = -AT_ONCE_MS,
  }, Report)
end

--- The text of the resource key.
local function resource_text(self, detail)
  local fields = self.measured
  fields.systime = self.clock.text(self.clock.now())
  fields.applications_detail = detail > 1 and DETAIL[detail].name or nil
  return self.json.encode(fields)
end

--- The operations of one report; keys that need no write are left out.
local function operations(self, session, applications, everything, detail)
  local ops = {}
  local function add(key, text, flags)
    local before = self.written[key]
    if everything or not before or before.value ~= text or before.flags ~= flags then
      ops[#ops + 1] = { verb = "lock", key = key, value = text, session = session, flags = flags }
    end
  end
  if everything or detail ~= self.detail then add(self.resource_key, resource_text(self, detail)) end
  if applications then add(self.applications_key, applications, self.acted_on()) end
  return ops
end

--- Builds the largest report that fits.
-- @treturn ?table operations, empty when there is nothing to write; nil when not even the least fits
-- @treturn ?string the body
local function build(self, session, everything)
  local rows = self.rows()
  for detail = everything and 1 or self.detail, #DETAIL do
    local text = rows and self.json.encode(detail == 1 and rows or shrink(rows, DETAIL[detail].keep))
    -- Base64 alone says whether it can fit; encoding it in vain would cost more than all the rest.
    if not text or #text * 4 // 3 < MAX_BODY_BYTES then
      local ops = operations(self, session, text, everything, detail)
      local body = #ops > 0 and self.client.encode_transaction(ops) or ""
      if #body <= MAX_BODY_BYTES then
        self.detail = detail
        return ops, body
      end
    end
  end
  return nil
end

local function tell_size(self)
  if self.detail == 1 then return self.problems:clear("report/size") end
  local text = "the status of all applications does not fit into Consul's 512 KiB: it is written with less detail"
    .. ' ("%s"); the full rows are in "appmgr app ls" on this node'
  self.problems:set("report/size", text:format(DETAIL[self.detail].name))
end

--- What a refused transaction says.
local function refusal(self, answer)
  local decoded, reason = self.client.transaction_answer(answer.body)
  local first = decoded and decoded.errors[1]
  return first and first.message or reason or ("Consul answered " .. answer.status)
end

local function finish(self, ops, everything, answer, err)
  self.in_flight = nil
  local reason = err and err.message or answer.status ~= 200 and refusal(self, answer)
  if reason then
    self.problems:set("report", ("the status of this node is not written: %s; it is tried again every %g s"):format(
      reason, self.interval_ms / 1000))
    if reason:find("invalid session", 1, true) then self.doubt_session() end
    return
  end
  for _, op in ipairs(ops) do self.written[op.key] = op end
  self.problems:clear("report")
  if everything then self.on_written() end
  if self.again then self:changed() end
end

--- Writes what is to be written.
-- @tparam boolean everything both keys, whether their text changed or not
local function write(self, everything)
  local session = self.session()
  if not session or self.in_flight then
    self.again = true
    return
  end
  self.again = false
  if everything or not self.measured then self.measured = self.resource() end
  local ops, body = build(self, session, everything)
  if not ops then
    self.problems:set("report/size", "the status of all applications does not fit into Consul's 512 KiB even with the"
      .. " least detail: the status key is left as it was; run fewer applications on this node")
    return
  end
  tell_size(self)
  if #ops == 0 then return end
  self.in_flight = self.client:transaction(body, {}, function(answer, err)
    finish(self, ops, everything, answer, err)
  end)
end

--- Measures, then writes both keys.
local function measure_and_write(self)
  self.sample(function()
    if self.ticker then write(self, true) end
  end)
end

--- Begins to report, under the session that is held now.
function Report:start()
  if self.ticker then return end
  self.ticker = self.timer.every(self.interval_ms, function() measure_and_write(self) end)
  -- What was written under an earlier session is gone.
  self.written = {}
  measure_and_write(self)
end

--- An application, or what it follows, changed: its row is written now, or 100 ms after the last time.
function Report:changed()
  if not self.ticker or self.waiting then return end
  local due = self.last_at_once_ms + AT_ONCE_MS - self.timer.now_ms()
  if due <= 0 then
    self.last_at_once_ms = self.timer.now_ms()
    return write(self, false)
  end
  self.waiting = self.timer.after(due, function()
    self.waiting = nil
    self.last_at_once_ms = self.timer.now_ms()
    write(self, false)
  end)
end

--- Ends reporting, until `start`. The keys stay as they are; they end with the session.
function Report:stop()
  for _, name in ipairs({ "ticker", "waiting", "in_flight" }) do
    if self[name] then self[name]:cancel() end
    self[name] = nil
  end
end

return M
