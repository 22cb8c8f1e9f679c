--- The placement engine: from what the cluster is to what each node shall hold.
--
-- It lives as long as the policy and the term: changes go in (`put_…`, `drop_…`),
-- decisions come out, and only what the changes touch is worked on. Between two
-- decisions it knows what the store holds and nothing else: a decision that was not written is forgotten and
-- made again. An engine that was fed step by step and one that was fed all at once decide the same.
--
-- How a decision is made stands in engine/decision.lua.
local Board = require("appmgr.planner.engine.board")
local Jobs = require("appmgr.planner.engine.jobs")
local Ledger = require("appmgr.planner.engine.ledger")
local Pools = require("appmgr.planner.engine.pools")
local decision = require("appmgr.planner.engine.decision")
local explain = require("appmgr.planner.engine.explain")
local rebalance = require("appmgr.planner.rebalance")
local relation = require("appmgr.planner.rules.relation")

local Engine = {}
Engine.__index = Engine

Engine.DEFAULT_LIMITS = {
  max_replicas_per_node = 1000,
  task_deadline_ms = 1000,
  task_head_start_ms = 50,
  task_memory_mb = 0, -- by how much the process may grow for one task; 0: as far as it may at all
  task_instructions = 1000000,
  node_instructions = 2000,
  rescore_instructions = 200,
  max_wasted_instructions = 60000000,
}

local function with_defaults(limits)
  local all = {}
  for name, value in pairs(Engine.DEFAULT_LIMITS) do all[name] = limits and limits[name] or value end
  return all
end

--- @tparam table options `policy` (nil when none could be loaded: nothing new is placed), `policy_error`, `limits`
--   (DEFAULT_LIMITS where absent)
-- @treturn Engine
function Engine.new(options)
  local limits = with_defaults(options.limits)
  local board = Board.new(options.policy, limits)
  local jobs = Jobs.new(board)
  local self = setmetatable({
    policy = options.policy, policy_error = options.policy_error, limits = limits, board = board, jobs = jobs,
    ledger = Ledger.new(board, jobs), pools = Pools.new(board), touched = {}, unreadable = {}, has_changed = false,
    last_states = {}, balance = rebalance.new(),
  }, Engine)
  jobs.recount = function(site) self.ledger:recount(site) end
  return self
end

-- What goes in ------------------------------------------------------------------

local function describe(self, site, node)
  self.touched[site], self.has_changed = true, true
  if site.id then self.pools:forget(site.id) end
  self.board:describe(site, node)
  self.ledger:recount(site)
  for _, replica in ipairs(site.view) do self.jobs:touch(replica.task) end
end

--- Takes a node that is alive, or what is new of it. Its `status` is not looked at, see put_status.
-- @tparam table node see Nodes:list; the same table again is no news
function Engine:put_node(node)
  local site = self.board:site(node.name)
  if site.node ~= node then describe(self, site, node) end
end

--- A node is not alive any more.
-- @tparam string name
function Engine:drop_node(name)
  local site = self.board.sites[name]
  if site and site.node then describe(self, site, nil) end
end

--- Takes a task, or what is new of it.
-- @tparam table entry see Tasks:list; the same table again is no news
function Engine:put_task(entry)
  if self.jobs:put(entry) then self.has_changed = true end
end

--- A task was removed.
-- @tparam string name
function Engine:drop_task(name)
  if self.jobs:drop(name) then self.has_changed = true end
end

--- Takes what the store holds for a host.
-- @tparam string host
-- @tparam ?{replica,...}|false replicas in the order of documents, not to be changed later; nil when there is nothing, false
--   when it cannot be read
-- @tparam[opt=0] integer index of its assignment
-- @tparam[opt] table marks see Holdings:mark
function Engine:put_held(host, replicas, index, marks)
  local site = self.board:site(host)
  index = index or 0
  if site.held == replicas and site.index == index and (site.marks == marks or not marks and not next(site.marks)) then
    return
  end
  if site.held == false or replicas == false then self.has_changed = true end
  site.held, site.index, site.marks = replicas, index, marks or {}
  self.unreadable[site] = replicas == false or nil
  self.touched[site] = true
  for _, replica in ipairs(replicas or {}) do
    if replica.leaving then self.jobs:touch(replica.task) end
  end
end

--- Takes what a host shows to run.
-- @tparam string host
-- @tparam ?table status see Nodes:list; nil when it is not known
function Engine:put_status(host, status)
  local site = self.board:site(host)
  if site.status == status then return end
  site.status = status
  for _, replica in ipairs(site.view) do self.jobs:touch_watching(replica.task) end
end

-- Deciding ---------------------------------------------------------------------

local function sync(self)
  if self.board.must_order then
    self.board:order()
    self.pools:clear()
  end
  for site in pairs(self.touched) do self.ledger:sync(site) end
  self.touched = {}
  self.board:trim_log()
end

--- Decides.
-- @tparam integer now unix s
-- @tparam[opt] integer max_starts how many replicas may be given a node at most
-- @tparam[opt] table terms of moves for balance, see rebalance.lua; nil: nothing is moved for that
-- @treturn table `changes`: what hosts shall hold, for those whose content changes; `states`: of the tasks that were
--   worked on (see slots.settle and placement.place, with `name` and `entry`); `stops`: {`holder`, `reason`} for each
--   replica that is told to leave now; `status_hosts`: set of those whose status decides what happens next; `wake_at`
--   (unix s: when time alone changes something; nil: never); `is_rate_limited` (more would start); `outcome`,
--   `outcome_message`; `balance` (nil without terms; see rebalance.run)
function Engine:decide(now, max_starts, terms)
  sync(self)
  -- What was placed then is held by now, or was taken back.
  for _, state in ipairs(self.last_states) do state.placed = {} end
  local due = self.jobs:take_due(self.has_changed, now)
  if self.has_changed or due[1] then rebalance.note_change(self.balance) end
  self.has_changed = false
  local result, changed = decision.make(self, due, now, max_starts, terms)
  -- What is not confirmed by the next decision is taken back there.
  for site in pairs(changed) do self.touched[site] = true end
  self.last_states = result.states
  return result
end

-- What can be asked --------------------------------------------------------------

--- Goes through what the nodes hold of a task.
-- @tparam string name
-- @tparam function fn (holder)
function Engine:each_holder(name, fn)
  local job = self.jobs:get(name)
  if not job then return end
  for _, holder in ipairs(self.jobs:holders(job)) do fn(holder) end
end

--- The entry of a task.
-- @tparam string name
-- @treturn ?table see Tasks:list; nil when there is none
function Engine:entry(name)
  local job = self.jobs:get(name)
  return job and job.entry
end

--- The tasks of which something is not placed, or whose document keeps them as they are.
-- @treturn {string,...} sorted
function Engine:unsettled()
  return self.jobs:unsettled()
end

--- The relations of other tasks that keep apart from one, as they bind it.
-- @tparam string name
-- @treturn {relation,...} the caller's to change
function Engine:kept_apart_from(name)
  local rules = {}
  for _, owner in ipairs(self.jobs:keeping_apart_from(name)) do
    for _, rule in ipairs(owner.kind.relations) do
      if rule.kind == "apart_from" and rule.task == name and owner.name ~= name then
        rules[#rules + 1] = relation.mirrored(rule, owner.name)
      end
    end
  end
  return rules
end

--- The state of a task as of the last decision, with its reasons.
-- @tparam string name
-- @treturn ?table see slots.settle; nil when it is not known
function Engine:task_state(name)
  local job = self.jobs:get(name)
  local state = job and job.state
  if not state or state.reasons then return state end
  local waiting = state.waiting or {}
  if state.cause then
    state.reasons = { state.cause }
  else
    state.reasons = #state.pending > #waiting and explain.count(self, job) or {}
  end
  for _, list in ipairs({ waiting, state.stuck or {} }) do
    table.move(list, 1, #list, #state.reasons + 1, state.reasons)
  end
  return state
end

--- Why a task is, or would be, on a node or not.
-- @tparam string name
-- @tparam[opt] string node only this one
-- @treturn ?{table,...} see explain.nodes; nil when there is no such task, or its document cannot be used
function Engine:explain(name, node)
  local job = self.jobs:get(name)
  if not job or not job.task then return nil end
  return explain.nodes(self, job, node)
end

return Engine
