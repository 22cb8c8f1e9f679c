--- Why not there: all that stands between a task and a node, worked out when
-- somebody asks, from the same rules that decide.
local Pool = require("appmgr.planner.engine.pool")
local hosting = require("appmgr.planner.hosting")
local placement = require("appmgr.planner.placement")
local ports = require("appmgr.planner.rules.ports")
local reasons = require("appmgr.planner.reasons")
local resources = require("appmgr.planner.rules.resources")
local surroundings = require("appmgr.planner.engine.surroundings")

local M = {}

local function own_counts(engine, job)
  local counts = {}
  engine:each_holder(job.name, function(holder) counts[holder.site] = (counts[holder.site] or 0) + 1 end)
  return counts
end

-- What the node's own facts and the task's wishes say.
local function add_fixed(list, job, node)
  list[#list + 1] = hosting.rejects_all(node)
  list[#list + 1] = hosting.rejects_task(job, node)
  for _, reason in ipairs(job.kind.constraint.check_all(node)) do list[#list + 1] = reason end
end

-- What depends on what is placed already.
local function add_changing(list, context, site)
  local job, task = context.job, context.job.task
  local limit = task.replication == "all" and 1 or task.max_per_node
  if (context.own[site] or 0) >= limit then
    list[#list + 1] = { code = "max_per_node", args = { limit = limit } }
  end
  local most = context.engine.limits.max_replicas_per_node
  if site.class.total >= most then list[#list + 1] = { code = "node_full", args = { limit = most } } end
  for _, reason in ipairs(resources.all_reasons(site.class.free, job.kind.request, job.kind.defaulted)) do
    list[#list + 1] = reason
  end
  if job.kind.ports then
    local _, reason = ports.assign(job.kind.ports, site.in_use, site.node.ports, job.name)
    list[#list + 1] = reason
  end
  for _, reason in ipairs(surroundings.reasons(context.around, job.name, site.node)) do list[#list + 1] = reason end
end

-- Runs within the limits of the policy.
local function ask_filter(board, asker, sites, found)
  for position, site in ipairs(sites) do
    local verdict, code, detail = asker.filter(asker.task, board:show(site), asker.cluster, asker.options)
    if verdict ~= true then found[position] = { code = tostring(code or "filter"), detail = detail and tostring(detail) } end
  end
  return true
end

local function add_refusals(context, sites, lists)
  local policy = context.engine.policy
  if not policy or not policy.filter then return end
  local run = { policy = policy, board = context.engine.board, limits = context.engine.limits }
  local asker, found = placement.asker(run, context.job), {}
  local outcome, message = policy:run(context.job.name, ask_filter, placement.limits(run, 1), run.board, asker, sites, found)
  for position, list in ipairs(lists) do
    local refusal = found[position]
    if refusal then
      list[#list + 1] = { code = refusal.detail and "policy_detail" or "policy", args = refusal }
    elseif outcome ~= "ok" then
      list[#list + 1] = { code = "policy_failed", args = { outcome = outcome, message = message } }
    end
  end
end

local function live_sites(board)
  local sites = {}
  for id = 1, board.count do
    if board.by_id[id] then sites[#sites + 1] = board.by_id[id] end
  end
  return sites
end

local function reasons_by_site(engine, job, sites)
  local context = { engine = engine, job = job, own = own_counts(engine, job), around = surroundings.of(engine, job) }
  local lists = {}
  for position, site in ipairs(sites) do
    lists[position] = {}
    add_fixed(lists[position], job, site.node)
    add_changing(lists[position], context, site)
  end
  add_refusals(context, sites, lists)
  return lists, context
end

--- Why a task gets no further node: the first reason of each, counted.
-- @tparam Engine engine
-- @tparam Job job
-- @treturn {reason,...} most frequent first
function M.count(engine, job)
  local counter = reasons.counter()
  for _, list in ipairs((reasons_by_site(engine, job, live_sites(engine.board)))) do
    if list[1] then counter.add(list[1]) end
  end
  return counter.list()
end

-- Runs within the limits of the policy.
local function ask_scores(pool, asker, sites, scores)
  for position, site in ipairs(sites) do scores[position] = pool:evaluate(asker, site.id) end
  return true
end

local function scores_of(engine, job, sites)
  if not engine.policy then return {} end
  local run = { policy = engine.policy, board = engine.board, limits = engine.limits }
  local scores = {}
  engine.policy:run(job.name, ask_scores, placement.limits(run, 1), Pool.new(engine.board, job.kind), placement.asker(run, job),
    sites, scores)
  return scores
end

--- All that each node has against a task.
-- @tparam Engine engine
-- @tparam Job job
-- @tparam ?string only name of the only node that is asked about
-- @treturn {table,...} in the order of names: `node`, `replicas` (that it has of the task), `reasons` (empty where it could
--   take another one), `score` (nil where it could not)
function M.nodes(engine, job, only)
  local sites = {}
  for _, site in ipairs(live_sites(engine.board)) do
    if not only or site.name == only then sites[#sites + 1] = site end
  end
  local lists, context = reasons_by_site(engine, job, sites)
  local scores, rows = scores_of(engine, job, sites), {}
  for position, site in ipairs(sites) do
    rows[position] = {
      node = site.name, replicas = context.own[site] or 0, reasons = lists[position],
      score = #lists[position] == 0 and scores[position] or nil,
    }
  end
  return rows
end

return M
