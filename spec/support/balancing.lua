--- A cluster in memory for specs of moves for balance: it tells what moved when, and holds every decision to the promises.
local assert = require("luassert")

local Arena = require("appmgr.workbench.arena")
local core = require("spec.support.core")
local placing = require("spec.support.placing")

local Balancing = {}
Balancing.__index = Balancing

local DEPS = { json = core.json, codec = core.codec, clock = os.clock }

--- @tparam Policy|string policy the name of a stock one
-- @tparam[opt] table terms `max_moves`, `interval_seconds`, `margin`
-- @treturn Balancing `arena`, `moves` (records of the successors, in the order in which they began, with `task`, `to`)
function Balancing.new(policy, terms)
  local all = { max_moves = 2, interval_seconds = 60, margin = 0.1 }
  for name, value in pairs(terms or {}) do all[name] = value end
  policy = type(policy) == "string" and placing.stock(policy) or policy
  return setmetatable({ arena = Arena.new(DEPS, policy, nil, all), terms = all, moves = {}, documents = {}, known = {} }, Balancing)
end

function Balancing:node(name, document)
  self.arena:put_node(name, document or { capacity = { cpu = 4000, memory_mb = 4096 } })
end

function Balancing:task(name, fields)
  local document = { content = { command = "sleep 1" }, replication = 1 }
  for key, value in pairs(fields or {}) do document[key] = value end
  self.documents[name] = document
  assert.same({}, self.arena:put_task(name, document))
end

--- How many replicas each node has, those that leave left out.
function Balancing:counts()
  local counts = {}
  for name in pairs(self.arena.documents) do counts[name] = 0 end
  for _, host in pairs(self.arena:places()) do counts[host] = counts[host] + 1 end
  return counts
end

--- How many replicas there are.
function Balancing:total()
  local total = 0
  for _, count in pairs(self:counts()) do total = total + count end
  return total
end

--- How many replicas of each task run by what the nodes are told, as they do what they are told at once.
function Balancing:running()
  local counts = {}
  for slot in pairs(self.arena:places()) do
    local task = slot:match("^(.*)%.%d+$")
    counts[task] = (counts[task] or 0) + 1
  end
  return counts
end

-- The records of moves that stand in the assignments and did not before.
local function note_moves(self)
  for host, replicas in pairs(self.arena.held) do
    for _, replica in ipairs(replicas) do
      local moved = replica.moved
      local id = moved and ("%s %s.%d %d"):format(host, replica.task, replica.slot, moved.at)
      if moved and not self.known[id] then
        self.known[id] = true
        local copy = { task = replica.task, to = host, slot_there = replica.slot }
        for key, value in pairs(moved) do copy[key] = value end
        table.insert(self.moves, copy)
      end
    end
  end
end

-- No rule is broken, nothing is missing meanwhile, and no more begin within an interval than may.
local function hold_to_promises(self, result, before)
  assert.is_nil(result.violation)
  for task, count in pairs(self:running()) do assert.is_true(count >= (before[task] or 0), task .. " has a gap") end
  for _, last in ipairs(self.moves) do
    local within = 0
    for _, other in ipairs(self.moves) do
      if other.at <= last.at and other.at > last.at - self.terms.interval_seconds then within = within + 1 end
    end
    assert.is_true(within <= self.terms.max_moves, "too many moves within an interval")
  end
end

--- Decides until there is nothing more to move.
-- @treturn string what there is to say in the end
function Balancing:balance()
  local before = self:running()
  for _ = 1, 3000 do
    local result, has_changed = self.arena:step(true)
    note_moves(self)
    hold_to_promises(self, result, before)
    if not has_changed and result.wake_at then
      self.arena.now = math.max(self.arena.now, result.wake_at)
    elseif not has_changed and not next(result.status_hosts) then
      return result.balance.text
    end
  end
  error("moves do not come to an end")
end

return Balancing
