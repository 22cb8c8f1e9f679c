-- Random histories that an engine is fed with, from fixed seeds: one that lives on decides what one decides that begins
-- anew; and what it decides is what the contract promises.
local Deltas = require("appmgr.planner.deltas")
local Engine = require("appmgr.planner.engine")
local assignment = require("appmgr.assignment")
local check = require("appmgr.planner.check")
local core = require("spec.support.core")
local generator = require("appmgr.workbench.random").new
local placing = require("spec.support.placing")

local POLICIES = {
  spread = function() return placing.stock("spread") end,
  round_robin = function() return placing.stock("round_robin") end,
  ["a policy that looks at much"] = function()
    return placing.policy([[function(task, node, cluster)
      local wanted = task.priority > 0 and task.name:byte(2) or 0
      if node.labels.zone == "a" and node.replicas > 2 then return wanted % 7 end
      return (node.free.cpu or 0) % 700 - 10 * node.task_replicas + (node.used.memory_mb or 0) / 7 + cluster.nodes
    end]], [[
      reads = { "node.replicas", "node.task_replicas", "node.free", "node.used" },
      filter = function(task, node) return (node.free.cpu or 0) % 17 ~= task.replication, "odd" end,]])
  end,
  ["a policy that preempts"] = function()
    return placing.policy("function(_, node) return (node.free.cpu or 0) - node.replicas end",
      'preempts = true, reads = { "node.free", "node.replicas" },')
  end,
  ["a policy that looks at positions"] = function()
    return placing.policy("function(task, node, cluster) return (node.position * 7 + #task.name) % cluster.nodes end", "")
  end,
}

local function random_node(random, name)
  local fields = {
    labels = { zone = ({ "a", "b", "c" })[random(1, 3)], rack = "r" .. random(1, 4) },
    capacity = { cpu = 1000 * random(1, 3), memory_mb = 1000 * random(1, 2) }, ports = { first = 20000, last = 20002 },
  }
  fields.drain, fields.eligible = random(1, 8) == 1, random(1, 8) ~= 1
  if random(1, 6) == 1 then fields.local_names = { ["t" .. random(1, 8)] = true } end
  if random(1, 6) == 1 then fields.avoid = { ["t" .. random(1, 8)] = 2000 } end
  if random(1, 12) == 1 then fields.gone = true end
  return placing.node(name, fields)
end

local function add_wishes(random, fields)
  local wish = random(1, 12)
  local other = "t" .. random(1, 8)
  if wish == 1 then fields.apart_from = { { task = other, per = "node" } } end
  if wish == 2 then fields.apart_from = { { task = other, per = "label.rack" } } end
  if wish == 3 then fields.with = { { task = other, per = "label.zone" } } end
  if wish == 4 then fields.with = { { task = other, per = "node" } } end
  if wish == 5 then fields.spread = { { label = "zone" } } end
  if wish == 6 then fields.affinities = { { attribute = "label.rack", operator = "=", value = "r1", weight = 50 } } end
  if wish == 7 then fields.ports = { { name = "http", number = 80 } } end
  if wish == 8 then fields.ports = { { name = "http" } } end
end

local function random_task(random, name)
  local fields = {
    replication = random(0, 5), max_per_node = random(1, 3), priority = random(-1, 1), version = "v" .. random(1, 2),
  }
  if random(1, 6) == 1 then fields.replication = "all" end
  if random(1, 3) == 1 then fields.condition = { zone = ({ "a", "b", "c" })[random(1, 3)] } end
  if random(1, 2) == 1 then fields.resources = { cpu = 100 * random(1, 9), memory_mb = 100 * random(1, 3) } end
  if random(1, 12) == 1 then fields.unsupported = { "group" } end
  add_wishes(random, fields)
  local entry = placing.task(name, fields)
  if random(1, 12) == 1 then entry.task, entry.errors = nil, { "broken" } end
  return entry
end

-- A world that is changed by chance; the snapshot is made anew each time, as the model does it.
local World = {}
World.__index = World

function World.new(random)
  local self = setmetatable({ random = random, now = 1000, nodes = {}, tasks = {}, held = {}, index = {}, marks = {}, count = 10 }, World)
  for number = 1, random(2, 5) do self:change_node("n" .. number) end
  for number = 1, random(1, 5) do self:change_task("t" .. number) end
  return self
end

function World:change_node(name) self.nodes[name] = random_node(self.random, name) end

function World:change_task(name) self.tasks[name] = random_task(self.random, name) end

local function some(random, list) return list[random(1, #list)] end

local EVENTS = {
  function(world, random) world:change_node("n" .. random(1, 7)) end,
  function(world, random) world.nodes["n" .. random(1, 7)] = nil end,
  function(world, random) world:change_task("t" .. random(1, 8)) end,
  function(world, random) world:change_task("t" .. random(1, 8)) end,
  function(world, random) world.tasks["t" .. random(1, 8)] = nil end,
  -- Somebody else writes an assignment.
  function(world, random)
    local host, slots = "n" .. random(1, 7), {}
    for number = 1, random(0, 3) do
      slots[number] = placing.replica("t" .. random(1, 8), number, { leaving = random(1, 4) == 1 or nil, version = "v1" })
    end
    table.sort(slots, assignment.before)
    world:hold(host, slots)
  end,
  function(world, random) world.held["n" .. random(1, 7)] = nil end,
}

--- A host's assignment says this from now on.
function World:hold(host, replicas)
  self.count = self.count + 1
  self.held[host], self.index[host], self.marks[host] = replicas, self.count, {}
  for _, replica in ipairs(replicas) do
    if replica.leaving then self.marks[host][replica.task .. "." .. replica.slot] = self.count end
  end
end

local function sorted_values(map, random)
  local names, list = {}, {}
  for name in pairs(map) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do list[#list + 1] = map[name] end
  for position = random and #list or 0, 2, -1 do
    local other = random(1, position)
    list[position], list[other] = list[other], list[position]
  end
  return list
end

local function status_of(world, name)
  local rows = {}
  for _, replica in ipairs(world.held[name] or {}) do
    local slot = replica.task .. "." .. replica.slot
    if not replica.leaving then rows[slot] = { version = replica.version, state = "running" } end
  end
  return { acted_on = world.index[name] or 0, rows = rows }
end

--- @tparam[opt] function shuffle a generator: in any order
function World:snapshot(shuffle)
  local nodes = sorted_values(self.nodes, shuffle)
  for position, node in ipairs(nodes) do
    local copy = { status = self.shows and status_of(self, node.name) or nil }
    for key, value in pairs(node) do copy[key] = value end
    nodes[position] = copy
  end
  return placing.snapshot({
    now = self.now, nodes = nodes, tasks = sorted_values(self.tasks, shuffle), held = self.held, assignment_index = self.index,
    marks = self.marks,
  })
end

--- Some of a decision is written.
function World:write(changes, share)
  local hosts = {}
  for host in pairs(changes) do hosts[#hosts + 1] = host end
  table.sort(hosts)
  for _, host in ipairs(hosts) do
    if self.random(1, 100) <= share then self:hold(host, changes[host]) end
  end
end

local function as_text(changes)
  local lines = {}
  for host, replicas in pairs(changes) do lines[#lines + 1] = host .. " " .. assignment.encode(replicas, core.json) end
  table.sort(lines)
  return table.concat(lines, "\n")
end

local function pending_text(engine, tasks)
  local lines = {}
  for _, entry in ipairs(tasks) do
    local state = engine:task_state(entry.name)
    lines[#lines + 1] = ("%s %s %d %s"):format(entry.name, state.mode, #state.pending, core.json.encode(state.reasons))
  end
  return table.concat(lines, "\n")
end

local function each_history(seeds, fn)
  for seed = 1, seeds do
    local random = generator(seed)
    fn(World.new(random), random, "seed " .. seed)
  end
end

for name, make in pairs(POLICIES) do
  describe("with " .. name .. ", an engine", function()
    it("that lives on decides as one that begins anew, whatever is written of its decisions", function()
      each_history(40, function(world, random, context)
        local engine = Engine.new({ policy = make() })
        local deltas = Deltas.new(engine)
        for step = 1, 15 do
          for _ = 1, random(0, 2) do some(random, EVENTS)(world, random) end
          world.shows, world.now = random(1, 2) == 1, world.now + 1
          local snapshot, at = world:snapshot(), ("%s, step %d"):format(context, step)
          deltas:feed(snapshot)
          local result = engine:decide(snapshot.now)
          local other, fresh = Deltas.decide_once(world:snapshot(random), make(), {})
          assert.equal("ok", result.outcome, at .. (result.outcome_message or ""))
          assert.is_nil(check.violation(engine, result.changes), at)
          assert.equal(as_text(other.changes), as_text(result.changes), at)
          assert.equal(pending_text(fresh, snapshot.tasks), pending_text(engine, snapshot.tasks), at)
          assert.same(other.status_hosts, result.status_hosts, at)
          world:write(result.changes, some(random, { 0, 50, 100, 100 }))
        end
      end)
    end)

    it("finds nothing more to do when all is written and shown to run", function()
      each_history(25, function(world, random, context)
        for _ = 1, 6 do some(random, EVENTS)(world, random) end
        local engine = Engine.new({ policy = make() })
        local deltas, result = Deltas.new(engine), nil
        world.shows = true
        for _ = 1, 60 do
          deltas:feed(world:snapshot())
          result = engine:decide(world.now)
          if not next(result.changes) then break end
          world:write(result.changes, 100)
          world.now = world.now + 1
        end
        assert.same({}, result.changes, context)
      end)
    end)
  end)
end
