-- An example to copy: a shop whose database machines have fast disks, and whose night jobs may go wherever it is cheap.
-- It shows all that a policy can do; policies/README.md has the contract. Try your own before it decides anything:
--
--   appmgr policy check mine.lua                 would it load, and are its names right
--   appmgr policy test mine.lua                  does it keep the contract, on hundreds of small clusters
--   appmgr policy simulate --policy mine.lua     what does it do with a large one
--   appmgr plan --policy mine.lua                what would it change, here and now

-- Functions and constants of your own are welcome. Nothing may be remembered from call to call: what a policy
-- answers follows from what it is handed, so that a new leader decides the same.
local function share_used(node, resource)
  local capacity = node.capacity[resource]
  if not capacity or capacity == 0 then return 0 end
  return (node.used[resource] or 0) / capacity
end

local function is_night_job(task)
  return string.find(task.name, "^night%-") ~= nil
end

return {
  api = 1,
  name = "example_custom",
  description = "databases on fast disks, night jobs where it is cheap, all others evenly",

  -- What is looked at below and changes with each replica that is placed. The engine remembers everything else.
  reads = { "node.used", "node.task_replicas" },

  -- What an operator may set: "Policy": { "name": "…", "options": { "headroom": 0.1 } }
  options = {
    headroom = { type = "number", default = 0.2, description = "share of the memory that stays free for databases" },
  },

  -- May this task go to this node? Beside conditions, room and drains, which the engine sees to.
  -- The code and the detail are what "appmgr explain" and "appmgr tasks" show.
  filter = function(task, node, _, options)
    if string.find(task.name, "^db") then
      if node.labels.disk ~= "ssd" then return false, "slow disk", node.labels.disk or "no label disk" end
    elseif node.labels.disk == "ssd" and share_used(node, "memory_mb") > 1 - options.headroom then
      return false, "kept free for databases"
    end
    return true
  end,

  -- Of the nodes that may: the highest number wins, the first by name among equals.
  score = function(task, node)
    -- One more on the same node counts for more than any fullness.
    local crowd = 10 * node.task_replicas
    local full = math.max(share_used(node, "cpu"), share_used(node, "memory_mb"))
    if is_night_job(task) then
      -- Full nodes first, cheap ones before the others.
      return (node.labels.price == "low" and 2 or 0) + full - crowd
    end
    return -full - crowd
  end,
}
