--- Nodes, tasks and snapshots for specs of the engine, as the model makes them, and an engine that begins with them.
local Deltas = require("appmgr.planner.deltas")
local Policy = require("appmgr.planner.policy")
local core = require("spec.support.core")

local M = {}

local function with(result, fields)
  for key, value in pairs(fields or {}) do result[key] = value end
  return result
end

--- A policy from the text of its score, and further fields.
function M.policy(score, fields)
  return assert(Policy.load(core, {
    name = "p", hash = "h",
    text = ('return { api = 1, name = "p", %s score = %s }'):format(fields or 'reads = { "node.replicas" },', score),
  }))
end

--- A policy of the folder policies/.
function M.stock(name)
  local file = assert(io.open("policies/" .. name .. ".lua"))
  local text = file:read("a")
  file:close()
  return assert(Policy.load(core, { name = name, hash = name, text = text }))
end

M.SPREAD = "function(_, node) return -node.replicas end"

function M.node(name, fields)
  return with({ name = name, labels = {}, capacity = {}, local_names = {}, eligible = true, drain = false }, fields)
end

--- A task's entry.
function M.task(name, fields)
  local task = with({
    name = name, replication = 1, priority = 0, max_per_node = 1, condition = {}, unsupported = {}, version = "v1",
    content_text = "{}", application = { status = 1, argv = { "/bin/true" }, env = {} },
  }, fields)
  return { name = name, task = task, errors = {}, warnings = {} }
end

function M.replica(name, slot, fields)
  return with({ task = name, slot = slot, version = "v1", since = 1 }, fields)
end

--- A snapshot with nodes a, b and c, where nothing else is given.
function M.snapshot(fields)
  return with({
    now = 1000, tasks = {}, nodes = { M.node("a"), M.node("b"), M.node("c") }, held = {}, assignment_index = {}, marks = {},
    unreadable = {},
  }, fields)
end

--- Decides on a snapshot.
-- @tparam table fields of the snapshot
-- @tparam[opt] string|Policy score
-- @treturn table see Engine.decide, with `desired`
-- @treturn Engine
function M.decide(fields, score)
  local policy = type(score) == "table" and score or M.policy(score or M.SPREAD)
  return Deltas.decide_once(M.snapshot(fields), policy, {})
end

--- Where a decision has what: {"web.0@a", "web.1@b leaving"}, sorted.
function M.places(desired)
  local list = {}
  for host, replicas in pairs(desired) do
    for _, item in ipairs(replicas) do
      list[#list + 1] = ("%s.%d@%s%s"):format(item.task, item.slot, host, item.leaving and " leaving" or "")
    end
  end
  table.sort(list)
  return list
end

return M
