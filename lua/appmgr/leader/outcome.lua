--- What a decision means beside its batches: problems told, tasks remembered,
-- the last one kept for `status`.
local M = {}

local Outcome = {}
Outcome.__index = Outcome

-- The listing of tasks may be large; it is written at most this often.
local REMEMBER_MS = 5000

local function no_counts()
  return { ok = 0, error = 0, timeout = 0, no_memory = 0, bad_result = 0 }
end

--- @tparam table deps `timer`, `problems`, `now` (function → unix s), `remember_tasks` (function(body), may be nil)
-- @treturn Outcome
function M.new(deps)
  return setmetatable({
    timer = deps.timer, problems = deps.problems, now = deps.now, remember_tasks = deps.remember_tasks,
    dropped_count = 0, counts = no_counts(), failures = {},
  }, Outcome)
end

--- Counts how a decision ended.
-- @tparam string name one of "ok", "error", "timeout", "no_memory", "bad_result"
function Outcome:count(name)
  if self.counts[name] then self.counts[name] = self.counts[name] + 1 end
end

--- Cuts a decision's body into its batches.
-- @tparam table header of the decision
-- @tparam string body
-- @treturn table|nil array of transaction bodies
-- @treturn ?string why the lengths make no sense
function M.batches(header, body)
  local batches, position = {}, 1
  for i, length in ipairs(type(header.batch_bytes) == "table" and header.batch_bytes or {}) do
    if math.type(length) ~= "integer" or length < 1 or position + length - 1 > #body then
      return nil, "its decision is shorter than it says"
    end
    batches[i] = body:sub(position, position + length - 1)
    position = position + length
  end
  if position ~= #body + 1 then return nil, "its decision is longer than it says" end
  return batches
end

local function names_in(list)
  local names = {}
  for _, name in ipairs(type(list) == "table" and list or {}) do
    if type(name) == "string" then names[#names + 1] = name end
  end
  return names
end

--- The hosts whose status the decision waits for.
function M.status_hosts(header)
  return names_in(header.status_hosts)
end

--- The hosts of which the policy looks at how loaded they are.
function M.load_hosts(header)
  return names_in(header.load_hosts)
end

--- The moves for balance that a decision begins, as texts.
function M.moves(header)
  return names_in(type(header.balance) == "table" and header.balance.moves)
end

--- A listing of task/ is fed. It is remembered once a decision was made from it that is not frozen: while the
-- store is in doubt, what was remembered before is worth more than what is read.
-- @tparam string body Consul's bytes
function Outcome:tasks_read(body)
  self.fed_tasks = body
end

local function remember(self)
  if not self.decided_tasks or not self.remember_tasks or self.wait then return end
  self.remember_tasks(self.decided_tasks)
  self.decided_tasks = nil
  self.wait = self.timer.after(REMEMBER_MS, function()
    self.wait = nil
    remember(self)
  end)
end

local function tell_problems(self, header)
  local kept = {}
  for _, problem in ipairs(type(header.problems) == "table" and header.problems or {}) do
    local key = "cluster/plan/" .. tostring(problem.key)
    kept[key] = true
    self.problems:set(key, tostring(problem.text))
  end
  if header.frozen then
    kept["cluster/plan/frozen"] = true
    self.problems:set("cluster/plan/frozen", header.frozen)
  end
  if header.outcome ~= "ok" then
    kept["cluster/plan/outcome"] = true
    self.problems:set("cluster/plan/outcome", ("the policy failed (%s): %s; the last topology stays"):format(
      tostring(header.outcome), tostring(header.outcome_message)))
  end
  self.problems:clear_prefix("cluster/plan/", kept)
end

-- Tasks that the policy failed for, with where and how.
local function failures_of(header)
  local list = {}
  for _, failure in ipairs(type(header.failures) == "table" and header.failures or {}) do
    list[#list + 1] = {
      task = tostring(failure.task), outcome = tostring(failure.outcome), message = tostring(failure.message),
      traceback = failure.traceback and tostring(failure.traceback),
    }
  end
  return list
end

--- Takes a decision that counts.
-- @tparam table header
-- @tparam integer batches how many it brings
-- @tparam number took_ms
function Outcome:take(header, batches, took_ms)
  tell_problems(self, header)
  self:count(header.outcome)
  self.failures = failures_of(header)
  self.last = {
    at = self.now(), outcome = header.outcome, frozen = header.frozen, batches = batches, took_ms = took_ms,
    summary = type(header.summary) == "table" and header.summary or {},
  }
  local balance = type(header.balance) == "table" and header.balance or {}
  self.balance = balance.text and tostring(balance.text)
  if header.frozen then return end
  self.decided_tasks, self.fed_tasks = self.fed_tasks or self.decided_tasks, nil
  remember(self)
end

--- A decision came too late to count.
function Outcome:dropped()
  self.dropped_count = self.dropped_count + 1
end

--- The term is over.
function Outcome:clear()
  if self.wait then self.wait:cancel() end
  self.wait = nil
  remember(self)
  if self.wait then self.wait:cancel() end
  self.wait, self.fed_tasks, self.decided_tasks, self.last, self.balance = nil, nil, nil, nil, nil
  self.counts, self.failures = no_counts(), {}
  self.problems:clear_prefix("cluster/plan/")
end

return M
