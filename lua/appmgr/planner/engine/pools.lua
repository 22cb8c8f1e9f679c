--- The pools that are kept, by what the tasks that use them have in common.
local Pool = require("appmgr.planner.engine.pool")
local canonical = require("appmgr.planner.rules.canonical")

local Pools = {}
Pools.__index = Pools

-- Kept pools remember together about so many nodes, some tens of bytes each.
local MAX_REMEMBERED = 2000000

--- @tparam Board board
-- @treturn Pools
function Pools.new(board)
  return setmetatable({ board = board, by_key = {}, list = {}, turn = 0, noted = "" }, Pools)
end

-- The fields that the policy was seen to look at and the kind does not imply.
local SCALARS = { "max_per_node", "name", "priority", "replication" }

local function noted_fields(noted)
  local list = {}
  for _, name in ipairs(SCALARS) do
    if noted[name] then list[#list + 1] = name end
  end
  return list
end

local function key_of(self, kind, task)
  if #self.fields == 0 then return kind.key end
  local parts = { kind.key }
  for _, name in ipairs(self.fields) do parts[#parts + 1] = task[name] end
  return canonical.of(parts)
end

-- The policy was seen to look at more than before. What a pool knows is right for the task that used it last, and for
-- all that are like it in this too.
local function follow_noted(self)
  local count = self.board.policy.noted.task.count
  if count == self.noted_count then return end
  self.noted_count = count
  local fields = noted_fields(self.board.policy.noted.task.fields)
  local text = table.concat(fields, " ")
  if text == self.noted then return end
  self.noted, self.fields, self.by_key = text, fields, {}
  for _, pool in ipairs(self.list) do
    pool.key = key_of(self, pool.kind, pool.task)
    self.by_key[pool.key] = pool
  end
end

local function forget_oldest(self)
  local oldest
  for position, pool in ipairs(self.list) do
    if not oldest or pool.used_at < self.list[oldest].used_at then oldest = position end
  end
  local pool = table.remove(self.list, oldest)
  if self.by_key[pool.key] == pool then self.by_key[pool.key] = nil end
end

--- The pool for a task.
-- @tparam Kind kind
-- @tparam table task values that a policy can see
-- @treturn Pool
function Pools:get(kind, task)
  self.fields = self.fields or {}
  follow_noted(self)
  local key = key_of(self, kind, task)
  local pool = self.by_key[key]
  if not pool then
    while #self.list > 0 and (#self.list + 1) * self.board.count > MAX_REMEMBERED do forget_oldest(self) end
    pool = Pool.new(self.board, kind)
    pool.key = key
    self.by_key[key], self.list[#self.list + 1] = pool, pool
  end
  self.turn = self.turn + 1
  pool.used_at, pool.task = self.turn, task
  return pool
end

--- Forgets one pool: what it knows is not to be trusted.
function Pools:drop(pool)
  for position, known in ipairs(self.list) do
    if known == pool then table.remove(self.list, position) break end
  end
  if self.by_key[pool.key] == pool then self.by_key[pool.key] = nil end
end

--- Forgets all.
function Pools:clear()
  self.by_key, self.list = {}, {}
end

--- A node is not what it was, or is not there any more.
function Pools:forget(id)
  for _, pool in ipairs(self.list) do pool:forget(id) end
end

return Pools
