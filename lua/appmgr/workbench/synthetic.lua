--- Large clusters made up by chance: machines of a few sizes in a few zones, tasks of mixed size of which a third is
-- bound to some of the machines.
local random_numbers = require("appmgr.workbench.random")

local M = {}

local ZONES <const> = { "a", "b", "c", "d", "e" }
local ARCHS <const> = { "x86_64", "x86_64", "x86_64", "arm64" }
-- Cores and memory, as machines are sold.
local SIZES <const> = { { 8, 32 }, { 16, 64 }, { 32, 128 }, { 64, 256 } }
local DISKS <const> = { "ssd", "hdd" }
local PORTS <const> = { first = 20000, last = 29999 }

--- A machine.
-- @tparam function random see appmgr.workbench.random
-- @treturn table the document of `live/<host>`
function M.node(random)
  local size = random_numbers.one_of(random, SIZES)
  return {
    labels = {
      zone = random_numbers.one_of(random, ZONES), arch = random_numbers.one_of(random, ARCHS),
      disk = random_numbers.one_of(random, DISKS),
    },
    capacity = { cpu = size[1] * 1000, memory_mb = size[2] * 1024 }, ports = PORTS,
    load = { cpu = 10 * random(0, 6), memory = 10 * random(0, 6) },
  }
end

local CONDITIONS <const> = {
  function(random) return { zone = random_numbers.one_of(random, ZONES) } end,
  function(random) return { arch = random_numbers.one_of(random, ARCHS) } end,
  function(random) return { disk = random_numbers.one_of(random, DISKS) } end,
}

--- A task.
-- @tparam function random
-- @tparam integer position of the task, from 1; each third one is bound to a zone, an architecture or a disk
-- @tparam integer replicas
-- @treturn table the document of `task/<name>`
function M.task(random, position, replicas)
  local size = 2 ^ random(0, 3)
  local task = {
    content = { command = "sleep 1" }, replication = replicas,
    resources = { cpu = math.tointeger(50 * size), memory_mb = math.tointeger(64 * size) },
  }
  if position % 3 == 0 then task.condition = random_numbers.one_of(random, CONDITIONS)(random) end
  return task
end

--- The name of the n-th node or task.
function M.name(kind, number)
  return ("%s%05d"):format(kind, number)
end

--- Makes up a cluster.
-- @tparam table size `nodes`, `tasks`, `replicas` (of each task), `seed`
-- @treturn table `nodes`, `tasks`, `intents`: documents by name
function M.cluster(size)
  local random = random_numbers.new(size.seed)
  local cluster = { nodes = {}, tasks = {}, intents = {}, assignments = {} }
  for number = 1, size.nodes do cluster.nodes[M.name("n", number)] = M.node(random) end
  for number = 1, size.tasks do cluster.tasks[M.name("t", number)] = M.task(random, number, size.replicas) end
  return cluster
end

return M
