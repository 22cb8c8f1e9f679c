--- All tasks as the engine keeps them: what they ask for, who holds their
-- slots, and which of them have something to do.
local kinds = require("appmgr.planner.kind")

local Jobs = {}
Jobs.__index = Jobs

-- Why a task is not placed now and may be placed the next time, though nothing has changed.
local AGAIN = { policy_failed = true, start_rate = true }

local NOBODY = {}

--- @tparam Board board
-- @treturn Jobs `recount`: function(site) that the owner sets, for when what its tasks ask for has changed
function Jobs.new(board)
  return setmetatable({
    board = board, by_name = {}, kinds = {}, apart = {}, due = {}, pending = {}, kept = {}, failed = {}, timed = {},
    everywhere = {}, watching = {},
  }, Jobs)
end

--- @tparam string name
-- @treturn ?Job `name`, `entry` (nil when it was removed), `task` (nil when its document cannot be used), `kind`, `slots`
--   (holder by slot), `extra` (further holders of a slot), `state` of the last decision
function Jobs:get(name)
  return self.by_name[name]
end

local function make(self, name)
  local job = self.by_name[name]
  if not job then
    job = { name = name, slots = {}, extra = {}, holder_count = 0 }
    self.by_name[name] = job
  end
  return job
end

--- A task has something to do.
function Jobs:touch(name)
  local job = self.by_name[name]
  if job then self.due[job] = true end
end

--- A task has something to do if it waits for what nodes show to run.
function Jobs:touch_watching(name)
  local job = self.by_name[name]
  if job and self.watching[job] then self.due[job] = true end
end

local function kind_of(self, task)
  local policy = self.board.policy
  local kind = kinds.of(task, policy and policy.spread)
  self.kinds[kind.key] = self.kinds[kind.key] or kind
  return self.kinds[kind.key]
end

-- Whoever keeps apart from another task binds that one too.
local function index_apart(self, job, value)
  for _, rule in ipairs(job.kind and job.kind.relations or {}) do
    if rule.kind == "apart_from" then
      local owners = self.apart[rule.task] or {}
      self.apart[rule.task] = owners
      owners[job] = value
    end
  end
end

-- Its replicas take what the task asks for now.
local function recount_sites(self, job)
  local sites = {}
  for _, holder in ipairs(self:holders(job)) do sites[holder.site] = true end
  for site in pairs(sites) do self.recount(site) end
end

local function take_entry(self, job, entry)
  local kind = entry and entry.task and kind_of(self, entry.task)
  local before = job.kind and job.kind.room_key
  index_apart(self, job, nil)
  job.entry, job.task, job.kind = entry, entry and entry.task, kind or nil
  index_apart(self, job, true)
  self.everywhere[job] = job.task and job.task.replication == "all" or nil
  self.due[job] = true
  if before ~= (job.kind and job.kind.room_key) then recount_sites(self, job) end
end

--- Takes a task, or what is new of it.
-- @treturn boolean whether anything is new
function Jobs:put(entry)
  local job = make(self, entry.name)
  if job.entry == entry then return false end
  take_entry(self, job, entry)
  return true
end

--- A task was removed.
-- @treturn boolean whether it was there
function Jobs:drop(name)
  local job = self.by_name[name]
  if not job or not job.entry then return false end
  take_entry(self, job, nil)
  return true
end

--- Slots of a task are held.
-- @tparam string name
-- @tparam {holder,...} holders
function Jobs:add_holders(name, holders)
  local job = make(self, name)
  local slots, extra = job.slots, job.extra
  for _, holder in ipairs(holders) do
    local slot = holder.replica.slot
    if slots[slot] then extra[#extra + 1] = holder else slots[slot] = holder end
  end
  job.holder_count = job.holder_count + #holders
  self.due[job] = true
end

--- Somebody does not hold a slot any more.
function Jobs:remove_holder(site, replica)
  local job = self.by_name[replica.task]
  self.due[job], job.holder_count = true, job.holder_count - 1
  local holder = job.slots[replica.slot]
  if holder and holder.site == site then
    job.slots[replica.slot] = nil
    for position, other in ipairs(job.extra) do
      if other.replica.slot == replica.slot then
        job.slots[replica.slot] = table.remove(job.extra, position)
        break
      end
    end
    return
  end
  for position, other in ipairs(job.extra) do
    if other.site == site and other.replica.slot == replica.slot then
      table.remove(job.extra, position)
      break
    end
  end
end

-- Slots are nearly always the numbers from 0 on, so that counting finds them in order.
local function add_in_order(list, slots, count)
  for slot = 0, 2 * count do
    local holder = slots[slot]
    if holder then list[#list + 1] = holder end
    if #list == count then return end
  end
  local first, numbers = 2 * count + 1, {}
  for slot in pairs(slots) do
    if slot >= first then numbers[#numbers + 1] = slot end
  end
  table.sort(numbers)
  for _, slot in ipairs(numbers) do list[#list + 1] = slots[slot] end
end

--- All holders of a task: by slot, and after those whoever holds a slot that another one holds too.
-- @treturn {holder,...} the caller's to change
function Jobs:holders(job)
  local list = {}
  if job.holder_count == 0 then return list end
  add_in_order(list, job.slots, job.holder_count - #job.extra)
  return table.move(job.extra, 1, #job.extra, #list + 1, list)
end

--- Whether any task may keep apart from one.
function Jobs:is_kept_apart(name)
  return self.apart[name] ~= nil
end

--- The tasks that keep apart from one.
-- @tparam string name
-- @treturn {Job,...} by name
function Jobs:keeping_apart_from(name)
  local list = {}
  for job in pairs(self.apart[name] or NOBODY) do list[#list + 1] = job end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local function add_all(due, set)
  for job in pairs(set) do due[job] = true end
end

--- The tasks that have something to do, by name; from now on none has.
-- @tparam boolean has_changed whether something changed that may make room
-- @tparam integer now unix s
-- @treturn {Job,...}
function Jobs:take_due(has_changed, now)
  local due, list = self.due, {}
  -- Whether a policy fails may depend on how busy the machine is, and it is to be heard of for as long as it does.
  add_all(due, self.failed)
  for job, moment in pairs(self.timed) do
    if moment <= now then due[job] = true end
  end
  if has_changed or next(due) then
    add_all(due, self.pending)
    add_all(due, self.everywhere)
  end
  self.due = {}
  for job in pairs(due) do list[#list + 1] = job.name end
  -- Plain texts are sorted several times as fast as what a function has to compare.
  table.sort(list)
  for position, name in ipairs(list) do list[position] = self.by_name[name] end
  return list
end

-- The sites whose status decides what happens next to a task; nil when none does.
local function watched_of(state)
  local placed = (#state.outgoing > 0 or #state.moving > 0) and state.placed or NOBODY
  local unproven, successors = state.unproven or NOBODY, state.successors or NOBODY
  if #state.leaving + #unproven + #successors + #placed == 0 then return nil end
  local watched = {}
  for _, list in ipairs({ state.leaving, unproven, successors, placed }) do
    for _, holder in ipairs(list) do watched[#watched + 1] = holder.site end
  end
  return watched
end

--- Keeps what a decision says of a task, as far as the next one has to know it.
function Jobs:note_state(job)
  local state = job.state
  self.due[job] = nil
  self.pending[job] = (#state.pending > 0 or state.stuck ~= nil) or nil
  self.failed[job] = state.cause and AGAIN[state.cause.code]
  self.timed[job] = state.wake_at
  self.kept[job] = state.mode == "kept" or nil
  self.watching[job] = watched_of(state)
  if not job.entry and job.holder_count == 0 then
    self.by_name[job.name] = nil
    for _, set in ipairs({ self.pending, self.kept, self.failed, self.timed, self.watching }) do set[job] = nil end
  end
end

--- The tasks of which something is not placed, or whose document keeps them as they are.
-- @treturn {string,...} sorted
function Jobs:unsettled()
  local set, list = {}, {}
  for _, jobs in ipairs({ self.pending, self.kept }) do
    for job in pairs(jobs) do set[job.name] = true end
  end
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- Hosts whose status decides what happens next.
-- @tparam table unreadable set of sites whose assignment cannot be read
-- @treturn table set of names
function Jobs:status_hosts(unreadable)
  local hosts = {}
  for _, sites in pairs(self.watching) do
    for _, site in ipairs(sites) do hosts[site.name] = true end
  end
  for site in pairs(unreadable) do
    if site.node then hosts[site.name] = true end
  end
  return hosts
end

--- When time alone changes something.
-- @treturn ?integer unix s; nil: never
function Jobs:wake_at()
  local first
  for _, moment in pairs(self.timed) do
    if not first or moment < first then first = moment end
  end
  return first
end

-- Tasks of one priority and one size, which have the same rank.
local function rank_of(ranks, by_priority, priority, size)
  local by_size = by_priority[priority]
  if not by_size then
    by_size = {}
    by_priority[priority] = by_size
  end
  local rank = by_size[size]
  if not rank then
    rank = { priority = priority, size = size, jobs = {} }
    by_size[size], ranks[#ranks + 1] = rank, rank
  end
  return rank
end

local function comes_first(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  return a.size > b.size
end

--- Puts tasks into the order in which they are placed: priority, then size, then name. What is large chooses first, as what
-- is small fits beside it later. There are many tasks and few sizes, so only those are sorted.
-- @tparam {Job,...} jobs by name, as from `take_due`
-- @tparam table totals resources of all nodes
-- @treturn {Job,...}
function Jobs.in_order(jobs, totals)
  local ranks, by_priority, sizes, list = {}, {}, {}, {}
  for _, job in ipairs(jobs) do
    local kind = job.kind
    local size = kind and (sizes[kind] or kinds.size(kind, totals)) or 0
    if kind then sizes[kind] = size end
    local ranked = rank_of(ranks, by_priority, job.task and job.task.priority or 0, size).jobs
    ranked[#ranked + 1] = job
  end
  table.sort(ranks, comes_first)
  for _, rank in ipairs(ranks) do table.move(rank.jobs, 1, #rank.jobs, #list + 1, list) end
  return list
end

return Jobs
