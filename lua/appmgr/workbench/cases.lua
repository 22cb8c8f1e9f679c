--- Small clusters made up by chance, to try a policy on: few of everything, so that most rules meet each other.
local random_numbers = require("appmgr.workbench.random")

local M = {}

local ZONES <const> = { "a", "b", "c" }
local ARCHS <const> = { "x86_64", "arm64" }

local function random_node(random)
  local labels = { arch = random_numbers.one_of(random, ARCHS) }
  if random(1, 8) > 1 then labels.zone = random_numbers.one_of(random, ZONES) end
  return {
    labels = labels, capacity = { cpu = 1000 * random(1, 8), memory_mb = 512 * random(1, 16) },
    ports = { first = 20000, last = 20000 + random(0, 9) },
    load = random(1, 4) > 1 and { cpu = 10 * random(0, 10), memory = 10 * random(0, 10) } or nil,
  }
end

-- Each happens to some tasks, by chance.
local TRAITS <const> = {
  function(task, random) task.condition = { zone = random_numbers.one_of(random, ZONES) } end,
  function(task, random)
    task.constraints = { { attribute = "label.arch", operator = "=", value = random_numbers.one_of(random, ARCHS) } }
  end,
  function(task, random) task.resources = { cpu = 250 * random(1, 8), memory_mb = 128 * random(1, 12) } end,
  function(task, random) task.max_per_node = random(1, 4) end,
  function(task, random) task.priority = random(-2, 2) end,
  function(task, random) task.spread = { { label = random(1, 2) == 1 and "zone" or "arch" } } end,
  function(task, random)
    task.affinities = { { attribute = "label.zone", operator = "=", value = "a", weight = random(-100, 100) } }
  end,
  function(task, random) task.apart_from = { "t" .. random(1, 3) } end,
  function(task) task.replication = "all" end,
}

local function random_task(random, name)
  local task = { content = { command = "sleep 1" }, replication = random(0, 6) }
  for _, trait in ipairs(TRAITS) do
    if random(1, 4) == 1 then trait(task, random) end
  end
  if task.apart_from and task.apart_from[1] == name then task.apart_from = nil end
  return task
end

--- Makes up a case.
-- @tparam integer seed
-- @treturn table `seed`; `nodes`, `tasks`: documents by name; `intents`: documents of `node/` by name
function M.random(seed)
  local random = random_numbers.new(seed)
  local case = { seed = seed, nodes = {}, intents = {}, tasks = {} }
  for number = 1, random(1, 8) do
    local name = "n" .. number
    case.nodes[name] = random_node(random)
    if random(1, 10) == 1 then case.intents[name] = { drain = true } end
  end
  for number = 1, random(1, 8) do
    local name = "t" .. number
    case.tasks[name] = random_task(random, name)
  end
  return case
end

return M
