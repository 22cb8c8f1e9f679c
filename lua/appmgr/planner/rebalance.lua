--- Moves for balance, for who asked for them: a replica that would be better off on another node goes there.
--
-- Never in a hurry, and never beside anything else: only while nothing is being placed, leaving, rolling out or on the
-- move, while no node is away and no stop waits; at most so many within an interval, those that gain most first; one of a task
-- at a time. The new one is there before the old one goes (succession.lua). A task that finds no place, which may last, is
-- not waited for: it had its choice before, and what moves takes no place that it could have had.
--
-- When moves began stands in the assignments (`moved`), so a new leader counts the same. What is remembered here only
-- spares work: a leader without it looks once more and finds the same.
local appraisal = require("appmgr.planner.engine.appraisal")
local moves = require("appmgr.planner.moves")
local placement = require("appmgr.planner.placement")
local round_of = require("appmgr.planner.round")

local M = {}

-- So much is looked at in one decision, counted in replicas: the next one goes on there, after a while.
local MAX_LOOK <const>, PAUSE_S <const> = 2000, 5

--- @treturn table what an engine remembers of this between decisions
function M.new()
  return { is_due = true, look_at = 0, seen = 0, texts = setmetatable({}, { __mode = "k" }) }
end

--- Something changed: what was looked at before may be worth a look again.
function M.note_change(memory)
  memory.is_due, memory.seen = true, 0
  memory.jobs, memory.round, memory.times = nil, nil, nil
end

-- When it may be -------------------------------------------------------------------

local function first_name(jobs)
  local first
  for job in pairs(jobs) do
    if not first or job.name < first then first = job.name end
  end
  return first
end

local function move_under_way(job)
  local state = job.state
  local old = state.moving[1]
  if not old then return nil end
  local new = state.successor_of[old]
  return ("under way: %s.%d moves from %s to %s.%d on %s"):format(job.name, old.replica.slot, old.site.name, job.name,
    new.replica.slot, new.site.name)
end

local function node_away(board)
  for id = 1, board.count do
    local site = board.by_id[id]
    if site and site.node.gone then return site.name end
  end
end

-- Why it has to wait, and until when if time alone ends that; nil when it need not.
local function obstacle(run, due)
  local jobs = run.jobs
  if run.policy.is_global then
    return ('policy "%s" says whose turn it is, not where a replica is better off: nothing is moved for it'):format(run.policy.name)
  end
  local busy = first_name(jobs.watching)
  if busy then return move_under_way(jobs:get(busy)) or ('waits for task "%s", which is changing'):format(busy) end
  local failed = first_name(jobs.failed)
  if failed then return ('waits for task "%s", which is still being placed'):format(failed) end
  if run.unreadable then return ('waits for node "%s", whose assignment cannot be read'):format(run.unreadable) end
  local away = node_away(run.board)
  if away then return ('waits for node "%s", which is away'):format(away) end
  for _, job in ipairs(due) do
    if #job.state.placed + #job.state.left > 0 then return ('waits for task "%s", which is changing'):format(job.name), run.now + 1 end
  end
end

local function held_by(site)
  return (site.edits or site.adds) and site:current() or site.view
end

-- When the moves began that stand in the assignments.
local function times_of(board)
  local times = {}
  for id = 1, board.count do
    local site = board.by_id[id]
    for _, replica in ipairs(site and held_by(site) or {}) do
      if replica.moved then times[#times + 1] = replica.moved.at end
    end
  end
  table.sort(times)
  return times
end

-- How many more may begin now, and when the next one may if none.
local function left_of(run, memory, terms)
  memory.times = memory.times or times_of(run.board)
  local within = {}
  for _, at in ipairs(memory.times) do
    -- Whichever way the clock of another leader differs.
    if math.abs(run.now - at) < terms.interval_seconds then within[#within + 1] = at end
  end
  local left = terms.max_moves - #within
  if left > 0 then return left end
  return 0, within[1 - left] + terms.interval_seconds
end

-- Which --------------------------------------------------------------------------------

local function sorted_jobs(run)
  local list = {}
  for _, job in pairs(run.jobs.by_name) do list[#list + 1] = job end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

-- Where to go on: after the task that was looked at last.
local function start_of(jobs, cursor)
  for position, job in ipairs(jobs) do
    if cursor and job.name > cursor then return position end
  end
  return 1
end

-- What is gained most by goes first.
local function is_better(a, b)
  if a.by ~= b.by then return a.by == "wish" end
  if a.gain ~= b.gain then return a.gain > b.gain end
  return a.job.name < b.job.name
end

-- Looks at tasks until all were looked at, or that was enough for once.
local function look(run, memory, jobs, margin, round)
  local found, spent, start = {}, 0, start_of(jobs, memory.cursor)
  memory.cursor = nil
  for step = 0, #jobs - 1 do
    local job = jobs[(start + step - 1) % #jobs + 1]
    local candidate, cost, has_failed
    if appraisal.is_movable(job) then candidate, cost, has_failed = appraisal.of(run, job, margin, round) end
    found[#found + 1] = candidate
    spent, memory.seen = spent + (cost or 0), memory.seen + 1
    if spent >= MAX_LOOK or has_failed then
      memory.cursor = job.name
      break
    end
  end
  table.sort(found, is_better)
  return found
end

local function insert_sorted(list, candidate)
  local position = 1
  while list[position] and is_better(list[position], candidate) do position = position + 1 end
  table.insert(list, position, candidate)
end

-- The next one to move: what was moved meanwhile may have changed what the others gain.
local function take_best(run, found, margin, round)
  while found[1] do
    local job = table.remove(found, 1).job
    local again = appraisal.of(run, job, margin, round)
    if again and (not found[1] or is_better(again, found[1])) then return again end
    if again then insert_sorted(found, again) end
  end
end

-- Moves ----------------------------------------------------------------------------------

local function begin(run, candidate, round)
  local asked, holder = candidate.asked, candidate.holder
  if placement.ask(run, asked) ~= "ok" or not asked.chosen[1] then return nil end
  local site, replica = asked.chosen[1], holder.replica
  local moved = {
    from = holder.site.name, slot = replica.slot, since = replica.since, at = run.now, round = round, by = candidate.by,
    before = candidate.before, after = candidate.after,
  }
  local giving = run.giving[holder.site] or {}
  run.giving[holder.site], giving[#giving + 1] = giving, asked.room
  run.begin_move(candidate.job, { holder = holder, site = site, slot = asked.slots[1], ports = asked.ports[1] or nil, moved = moved })
  return ("%s.%d moves from %s to %s as %s.%d: %s"):format(replica.task, replica.slot, moved.from, site.name, replica.task,
    asked.slots[1], moves.reason(moved))
end

local function move_some(run, found, left, margin, round)
  local list, is_first = {}, true
  while #list < left and found[1] do
    local best = is_first and table.remove(found, 1) or take_best(run, found, margin, round)
    is_first = false
    if not best then break end
    list[#list + 1] = begin(run, best, round)
  end
  return list
end

local function told(memory, jobs, begun)
  if begun[1] then return ("%d %s just begun"):format(#begun, #begun == 1 and "move was" or "moves were") end
  if memory.seen >= #jobs then return "nothing would be better off elsewhere" end
  return "looks for what would be better off elsewhere"
end

-- Other terms may find what those before did not.
local function follow_terms(memory, terms)
  local known = memory.terms
  if known and known.max_moves == terms.max_moves and known.interval_seconds == terms.interval_seconds
    and known.margin == terms.margin then return end
  memory.terms, memory.is_due, memory.seen, memory.look_at = terms, true, 0, 0
end

--- Begins moves, if any are due. To be called when the rest of the decision is made.
-- @tparam table run of the decision; `begin_move(job, move)` gives a replica its successor
-- @tparam table memory from `new`
-- @tparam table terms `max_moves`, `interval_seconds`, `margin`, `digest` (function(text) → hexadecimal text)
-- @tparam {Job,...} due the tasks that were worked on
-- @treturn ?table `text` (what there is to say of it, for people), `moves` (texts, of those that begin now), `look_at` (unix s:
--   when to look again though nothing happened; nil: never); nil without a policy
function M.run(run, memory, terms, due)
  if not run.policy then return nil end
  follow_terms(memory, terms)
  local reason, look_at = obstacle(run, due)
  if reason then return { text = reason, moves = {}, look_at = look_at } end
  if not memory.is_due then return { text = "nothing would be better off elsewhere", moves = {} } end
  if run.now < memory.look_at then return { text = memory.text, moves = {}, look_at = memory.look_at } end
  local left, free_at = left_of(run, memory, terms)
  if left == 0 then
    memory.look_at, memory.text = free_at, ("waits: %d of %d moves within %d s were begun"):format(terms.max_moves,
      terms.max_moves, terms.interval_seconds)
    return { text = memory.text, moves = {}, look_at = free_at }
  end
  local jobs = memory.jobs or sorted_jobs(run)
  memory.jobs = jobs
  local round = memory.round or round_of.of(run, jobs, memory.texts, terms.digest)
  memory.round = round
  -- Who is about to go is still there, and counts no more where it is.
  run.giving = {}
  local found = look(run, memory, jobs, terms.margin, round)
  -- What it finds is a change, also while it cannot be begun.
  if found[1] then M.note_change(memory) end
  local begun = move_some(run, found, math.min(left, run.starts_left), terms.margin, round)
  memory.is_due = memory.seen < #jobs
  memory.look_at, memory.text = run.now + (begun[1] and 1 or PAUSE_S), told(memory, jobs, begun)
  return { text = memory.text, moves = begun, look_at = memory.is_due and memory.look_at or nil }
end

return M
