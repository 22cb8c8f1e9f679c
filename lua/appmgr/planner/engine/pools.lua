--- The pools that are kept, by what the tasks that use them have in common.
local Book = require("appmgr.planner.engine.book")
local Pool = require("appmgr.planner.engine.pool")
local canonical = require("appmgr.planner.rules.canonical")

local Pools = {}
Pools.__index = Pools

-- Kept pools remember together about so many nodes, some tens of bytes each.
local MAX_REMEMBERED = 2000000

--- @tparam Board board
-- @treturn Pools
function Pools.new(board)
  local self = setmetatable({ board = board, turn = 0 }, Pools)
  self:clear()
  return self
end

-- The fields of a task that its kind does not imply.
local SCALARS = { "max_per_node", "name", "priority", "replication" }

-- The policy was seen to look at more of tasks than before: whom it took for alike may differ. That happens a few times.
local function follow_noted(self)
  local noted = self.board.policy.noted.task
  if noted.count == self.noted then return end
  self:clear()
  self.noted, self.fields, self.looks_at_kind = noted.count, {}, noted.fields.resources or noted.fields.condition
  for _, name in ipairs(SCALARS) do
    if noted.fields[name] then self.fields[#self.fields + 1] = name end
  end
end

-- What the policy may look at of a task: equal keys, equal answers.
local function seen_key(self, kind, task)
  local parts = { self.looks_at_kind and kind.key or "" }
  for _, name in ipairs(self.fields) do parts[#parts + 1] = task[name] end
  return canonical.of(parts)
end

local function book_for(self, key)
  local book = self.books[key]
  if not book then
    book = Book.new(self.board)
    self.books[key] = book
  end
  return book
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
  follow_noted(self)
  local seen = seen_key(self, kind, task)
  local key = kind.key .. "/" .. seen
  local pool = self.by_key[key]
  if not pool then
    while #self.list > 0 and (#self.list + 1) * self.board.count > MAX_REMEMBERED do forget_oldest(self) end
    pool = Pool.new(self.board, kind, nil, book_for(self, seen))
    pool.key = key
    self.by_key[key], self.list[#self.list + 1] = pool, pool
  end
  self.turn = self.turn + 1
  pool.used_at = self.turn
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
  -- A book goes when no pool uses it.
  self.books = setmetatable({}, { __mode = "v" })
end

--- A node is not what it was, or is not there any more.
function Pools:forget(id)
  for _, pool in ipairs(self.list) do pool:forget(id) end
end

return Pools
