-- The engine beside one that tries every node for every slot: on small clusters both must choose the same.
local generator = require("appmgr.workbench.random").new
local placing = require("spec.support.placing")

local SCORES = {
  ["by what is free"] = { 'reads = { "node.free" },', "function(_, node) return node.free.cpu end", function(node) return node.free end },
  ["by what is used"] = { 'reads = { "node.used", "node.replicas" },',
    "function(_, node) return (node.used.cpu or 0) % 700 - node.replicas end",
    function(node) return (node.cpu - node.free) % 700 - node.replicas end },
  ["by the task's own"] = { 'reads = { "node.task_replicas", "node.replicas" },',
    "function(task, node) return node.replicas - 3 * node.task_replicas * task.priority end",
    function(node, task) return node.replicas - 3 * (node.own[task.name] or 0) * task.priority end },
  ["by labels and names"] = { "", "function(_, node) return node.labels.zone == 'a' and #node.name or 1 end",
    function(node) return node.zone == "a" and #node.name or 1 end },
}

local function best_node(nodes, task, worth)
  local best, best_score
  for _, node in ipairs(nodes) do
    local fits = node.free >= task.resources.cpu and (node.own[task.name] or 0) < task.max_per_node
      and (not task.condition.zone or task.condition.zone == node.zone)
    local score = fits and worth(node, task)
    if score and (not best or score > best_score) then best, best_score = node, score end
  end
  return best
end

-- In the order of the contract: priority, then what is large, then the name.
local function comes_before(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  if a.resources.cpu ~= b.resources.cpu then return a.resources.cpu > b.resources.cpu end
  return a.name < b.name
end

local function try_all(nodes, tasks, worth)
  local places = {}
  table.sort(tasks, comes_before)
  for _, task in ipairs(tasks) do
    for slot = 0, task.replication - 1 do
      local node = best_node(nodes, task, worth)
      if not node then break end
      node.free, node.replicas = node.free - task.resources.cpu, node.replicas + 1
      node.own[task.name] = (node.own[task.name] or 0) + 1
      places[#places + 1] = ("%s.%d@%s"):format(task.name, slot, node.name)
    end
  end
  table.sort(places)
  return places
end

local function some_nodes(random)
  local plain, real = {}, {}
  for number = 1, random(1, 6) do
    local cpu, zone, name = 500 * random(1, 4), ({ "a", "b" })[random(1, 2)], ("n"):rep(random(1, 3)) .. number
    plain[number] = { name = name, cpu = cpu, free = cpu, zone = zone, replicas = 0, own = {} }
    real[number] = placing.node(name, { labels = { zone = zone }, capacity = { cpu = cpu } })
  end
  table.sort(plain, function(a, b) return a.name < b.name end)
  return plain, real
end

local function some_tasks(random)
  local plain, real = {}, {}
  for number = 1, random(1, 6) do
    local fields = {
      replication = random(1, 6), max_per_node = random(1, 3), priority = random(0, 2), resources = { cpu = 100 * random(1, 5) },
      condition = random(1, 3) == 1 and { zone = "a" } or {},
    }
    real[number] = placing.task("t" .. number, fields)
    plain[number] = real[number].task
  end
  return plain, real
end

describe("the engine chooses what trying everything chooses,", function()
  for name, case in pairs(SCORES) do
    it(name, function()
      for seed = 1, 150 do
        local random = generator(seed)
        local plain_nodes, nodes = some_nodes(random)
        local plain_tasks, tasks = some_tasks(random)
        local result = placing.decide({ nodes = nodes, tasks = tasks }, placing.policy(case[2], case[1]))
        assert.same(try_all(plain_nodes, plain_tasks, case[3]), placing.places(result.desired), "seed " .. seed)
      end
    end)
  end
end)
