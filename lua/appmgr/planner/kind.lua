--- What a task asks of the nodes it runs on, prepared once for each change of its document. Tasks of one kind, by
-- the key, get the same answer from every node, as far as their names and their own replicas play no part.
local affinity = require("appmgr.planner.rules.affinity")
local canonical = require("appmgr.planner.rules.canonical")
local constraint = require("appmgr.planner.rules.constraint")
local ports = require("appmgr.planner.rules.ports")
local record = require("appmgr.planner.record")
local relation = require("appmgr.planner.rules.relation")
local resources = require("appmgr.planner.rules.resources")
local spread = require("appmgr.planner.rules.spread")

local M = {}

local NO_PORTS = {}

-- The request as arrays: this is looked at for each node and each placement.
local function flat_request(kind, task)
  kind.request, kind.defaulted = task.resources or {}, task.resources_defaulted or {}
  kind.names, kind.amounts, kind.is_default = {}, {}, {}
  for position, name in ipairs(canonical.sorted_keys(kind.request)) do
    kind.names[position], kind.amounts[position] = name, kind.request[name]
    kind.is_default[position] = kind.defaulted[name] == true
  end
end

-- What nodes of a group have in common, beside being fit: the labels that spread and relations look at, and how much the
-- affinities speak for them.
local function group_labels(kind)
  local set = {}
  for _, part in ipairs({ kind.spread or {}, kind.relations or {} }) do
    for _, label in ipairs(part.labels or {}) do set[label] = true end
  end
  return canonical.sorted_keys(set)
end

local function defaulted_key(kind)
  return canonical.of(canonical.sorted_keys(kind.defaulted))
end

--- Prepares what a task asks for.
-- @tparam table task parsed
-- @tparam[opt] {table,...} default_spread for a task that has none of its own
-- @treturn Kind `key`; `constraint`, `affinity`, `spread`, `relations` as the rules compile them; `request`, and as arrays
--   `names`, `amounts`, `is_default`; `room_key`: equal where the request is; `request_map`,
--   `condition_map`: for a policy to look at; `ports` wanted, nil when none; `group_labels`, `is_grouped`;
--   `spectrum_key`: equal where the spread finds the same values, nil without one
function M.of(task, default_spread)
  local kind = {
    constraint = constraint.compile(task), affinity = affinity.compile(task),
    spread = spread.compile(task) or spread.compile({ spread = default_spread }),
    relations = relation.compile(task), ports = task.ports and #task.ports > 0 and task.ports or nil,
  }
  flat_request(kind, task)
  kind.group_labels = group_labels(kind)
  kind.is_grouped = kind.affinity ~= nil or #kind.group_labels > 0
  kind.request_map, kind.condition_map = record.map(kind.request, true), record.map(task.condition, true)
  kind.room_key = resources.key(kind.request)
  kind.key = canonical.of({
    kind.constraint.key, kind.room_key, defaulted_key(kind), ports.key(kind.ports or NO_PORTS),
    kind.affinity and kind.affinity.key or "", kind.spread and kind.spread.key or "",
    kind.relations and kind.relations.key or "",
  })
  if kind.spread then kind.spectrum_key = canonical.of({ kind.constraint.key, table.unpack(kind.spread.labels) }) end
  return kind
end

--- The same kind with nodes grouped by further labels, for a task that others keep away from.
-- @tparam Kind kind
-- @tparam table labels set of names
-- @treturn Kind
function M.grouped_by(kind, labels)
  if next(labels) == nil then return kind end
  local all = {}
  for label in pairs(labels) do all[label] = true end
  for _, label in ipairs(kind.group_labels) do all[label] = true end
  local list = canonical.sorted_keys(all)
  if #list == #kind.group_labels then return kind end
  return setmetatable({
    group_labels = list, is_grouped = true, key = kind.key .. "/" .. canonical.of(list),
  }, { __index = kind })
end

--- How large a task's request is: its largest share of what all nodes have together. Among tasks of one priority the
-- large ones choose first, as what is small fits beside them later.
-- @tparam Kind kind
-- @tparam table totals name → what all nodes have
-- @treturn number
function M.size(kind, totals)
  local size = 0
  for position, name in ipairs(kind.names) do
    local total = totals[name]
    if total and total > 0 then size = math.max(size, kind.amounts[position] / total) end
  end
  return size
end

--- What a node has in common with others of its group.
-- @tparam Kind kind
-- @tparam table node
-- @treturn string
function M.group_key(kind, node)
  local parts = { kind.affinity and kind.affinity.score(node) or 0 }
  for _, label in ipairs(kind.group_labels) do
    local value = node.labels[label]
    parts[#parts + 1] = value and "=" .. value or "-"
  end
  return canonical.of(parts)
end

return M
