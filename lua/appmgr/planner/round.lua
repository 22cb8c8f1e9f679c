--- What nodes and tasks there are, as a short text: as long as it is the same, a replica that was moved for balance is not
-- moved again. So moving comes to an end whatever a policy says of nodes.
local canonical = require("appmgr.planner.rules.canonical")

local M = {}

local DIGITS <const> = 8

local function add_map(parts, map)
  for _, name in ipairs(canonical.sorted_keys(map)) do
    parts[#parts + 1] = name
    parts[#parts + 1] = map[name]
  end
  parts[#parts + 1] = ""
end

local function text_of_node(node)
  local parts = { node.name, tostring(node.eligible), tostring(node.drain) }
  for _, map in ipairs({ node.labels, node.capacity, node.reserved or {}, node.overcommit or {} }) do add_map(parts, map) end
  return canonical.of(parts)
end

local function text_of_task(job)
  local task = job.task
  return canonical.of({
    job.name, task.replication, task.max_per_node, task.priority, tostring(task.rebalance), type(task.on_disconnect), job.kind.key,
  })
end

local function add(list, texts, key, make, value)
  local text = texts[key]
  if not text then
    text = make(value)
    texts[key] = text
  end
  list[#list + 1] = text
end

--- Works it out.
-- @tparam table run of a decision: `board`, `policy`
-- @tparam {Job,...} jobs in the order of their names
-- @tparam table texts what was made of nodes and entries before, with weak keys; is added to
-- @tparam function digest (text) → hexadecimal text
-- @treturn string
function M.of(run, jobs, texts, digest)
  local list, board = { run.policy.identity }, run.board
  for id = 1, board.count do
    local site = board.by_id[id]
    if site then add(list, texts, site.node, text_of_node, site.node) end
  end
  for _, job in ipairs(jobs) do
    if job.task then add(list, texts, job.entry, text_of_task, job) end
  end
  return digest(table.concat(list, "\n")):sub(1, DIGITS)
end

return M
