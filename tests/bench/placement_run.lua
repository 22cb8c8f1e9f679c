--- One run of the placement benchmark: a synthetic cluster, and what placing it takes. Prints name=value.
--
--     build/appmgr lua tests/bench/placement_run.lua POLICY NODES TASKS REPLICAS [mixed]
--
-- POLICY is one of policies/, or "custom" or "every" (below). With "mixed" the tasks are of random sizes, and the nodes that
-- are used are compared with best-fit-decreasing, which knows all replicas beforehand.
package.path = "./lua/?.lua;./?.lua;" .. package.path

local Engine = require("appmgr.planner.engine")
local Policy = require("appmgr.planner.policy")
local check = require("appmgr.planner.check")
local garbage = require("appmgr.planner.garbage")
local generator = require("appmgr.workbench.random").new
local sandbox = require("core.sandbox")

local policy_name, shape = arg[1], arg[5]
local node_count, task_count, replicas = tonumber(arg[2]), tonumber(arg[3]), tonumber(arg[4])

local OWN = {
  custom = [[return { api = 1, name = "custom", reads = { "node.replicas", "node.task_replicas", "node.used" },
    score = function(task, node)
      local cpu, memory = (node.used.cpu or 0) / node.capacity.cpu, (node.used.memory_mb or 0) / node.capacity.memory_mb
      local bonus = node.labels.disk == "ssd" and 0.1 or 0
      return bonus - 0.6 * cpu - 0.4 * memory - 2 * node.task_replicas - 0.001 * node.replicas
    end }]],
  every = [[return { api = 1, name = "every", reads = { "node.used" },
    score = function(task, node)
      return (node.position * 7919 % 1000003) / 1000003 - (node.used.cpu or 0) / node.capacity.cpu
    end }]],
}

local function load_policy()
  local text = OWN[policy_name]
  if not text then
    local file = assert(io.open("policies/" .. policy_name .. ".lua"))
    text = file:read("a")
    file:close()
  end
  return assert(Policy.load({ sandbox = sandbox }, { name = policy_name, hash = "bench", text = text }))
end

local ZONES = { "a", "b", "c", "d" }
local random = generator(1)

local function make_node(number)
  local size = shape and { cpu = 16000, memory_mb = 64000 } or { cpu = 64000, memory_mb = 256000 }
  return {
    name = ("n%05d"):format(number), labels = { zone = ZONES[number % 4 + 1], disk = number % 3 == 0 and "ssd" or "hdd" },
    capacity = size, local_names = {}, eligible = true, drain = false,
  }
end

local function size_of(number)
  if shape then return { cpu = 100 * random(1, 60), memory_mb = 256 * random(1, 90) } end
  return { cpu = 100 * (number % 4 + 1), memory_mb = 128 * (number % 3 + 1) }
end

-- A third of the tasks is bound to a zone.
local function make_task(number)
  local name = ("t%05d"):format(number)
  local is_bound = not shape and number % 3 == 0
  return {
    name = name, errors = {}, warnings = {},
    task = {
      name = name, replication = replicas, priority = 0, max_per_node = shape and replicas or 1, condition = {},
      unsupported = {}, version = "v1", content_text = "{}", application = { status = 1, argv = { "/bin/true" }, env = {} },
      resources = size_of(number),
      constraints = is_bound and { { attribute = "label.zone", operator = "=", value = ZONES[number % 4 + 1] } } or nil,
    },
  }
end

local function show(name, value)
  print(("%s=%s"):format(name, value))
end

local function peak_mb()
  local file = assert(io.open("/proc/self/status"))
  local kilobytes = file:read("a"):match("VmHWM:%s*(%d+)")
  file:close()
  return tonumber(kilobytes) / 1024
end

local engine, tasks = Engine.new({ policy = load_policy() }), {}
for number = 1, node_count do engine:put_node(make_node(number)) end
for number = 1, task_count do
  tasks[number] = make_task(number)
  engine:put_task(tasks[number])
end

local function decide()
  -- As in the planner's process.
  garbage.pace()
  local begun = os.clock()
  local result = engine:decide(1000)
  local decided = os.clock()
  local violation = check.violation(engine, result.changes)
  assert(not violation and result.outcome == "ok", violation or result.outcome_message)
  return result, decided - begun, os.clock() - begun
end

local result, seconds, with_check = decide()
local placed = 0
for _, state in ipairs(result.states) do placed = placed + #state.placed end
show("placed", placed)
show("rate", placed / seconds)
show("seconds", with_check)
show("peak", peak_mb())

-- Settled: what is decided is held ---------------------------------------------------

local where = {}

local function hold(changes, index)
  for host, list in pairs(changes) do engine:put_held(host, list, index) end
end

-- Remembers where each slot is, and counts those that were elsewhere before.
local function note_places(changes, lost)
  local moved = 0
  for host, list in pairs(changes) do
    for _, replica in ipairs(list) do
      local slot = replica.task .. "." .. replica.slot
      if where[slot] and where[slot] ~= host and where[slot] ~= lost then moved = moved + 1 end
      where[slot] = host
    end
  end
  return moved
end

local function best_fit_decreasing()
  local items, nodes = {}, {}
  for _, entry in ipairs(tasks) do
    local request = entry.task.resources
    for _ = 1, replicas do items[#items + 1] = { cpu = request.cpu / 16000, memory = request.memory_mb / 64000 } end
  end
  table.sort(items, function(a, b) return math.max(a.cpu, a.memory) > math.max(b.cpu, b.memory) end)
  for _, item in ipairs(items) do
    local best
    for _, node in ipairs(nodes) do
      local fits = node.cpu >= item.cpu and node.memory >= item.memory
      if fits and (not best or node.cpu + node.memory < best.cpu + best.memory) then best = node end
    end
    if not best then
      best = { cpu = 1, memory = 1 }
      nodes[#nodes + 1] = best
    end
    best.cpu, best.memory = best.cpu - item.cpu, best.memory - item.memory
  end
  return #nodes
end

local function changed_task()
  local entry = { name = tasks[3].name, errors = {}, warnings = {}, task = {} }
  for name, value in pairs(tasks[3].task) do entry.task[name] = value end
  entry.task.replication = replicas + 5
  return entry
end

-- A node that holds something: the middle one of those.
local function middle_host(changes)
  local hosts = {}
  for host in pairs(changes) do hosts[#hosts + 1] = host end
  table.sort(hosts)
  return hosts[#hosts // 2 + 1]
end

if shape then
  local used = 0
  for _ in pairs(result.changes) do used = used + 1 end
  show("used", used)
  show("best", best_fit_decreasing())
elseif placed <= 100000 then
  note_places(result.changes)
  hold(result.changes, 1)
  decide()
  local lost = middle_host(result.changes)
  for index, event in ipairs({ { "lost", function() engine:drop_node(lost) end }, { "changed", function()
    engine:put_task(changed_task())
  end } }) do
    event[2]()
    local after, _, took = decide()
    show(event[1], 1000 * took)
    show(event[1] .. "Others", note_places(after.changes, index == 1 and lost or nil))
    hold(after.changes, index + 1)
  end
end
