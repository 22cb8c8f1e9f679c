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
  local kind_key = self.looks_at_kind and kind.key or ""
  if #self.fields == 0 then return kind_key end
  local parts = { kind_key }
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

-- So that it is found no more.
local function unlist(self, pool)
  local pools = self.by_kind[pool.kind.key]
  if not pools or pools[pool.seen] ~= pool then return end
  pools[pool.seen] = nil
  if not next(pools) then self.by_kind[pool.kind.key] = nil end
end

local function forget_oldest(self)
  local oldest
  for position, pool in ipairs(self.list) do
    if not oldest or pool.used_at < self.list[oldest].used_at then oldest = position end
  end
  unlist(self, table.remove(self.list, oldest))
end

local function make(self, kind, seen)
  while #self.list > 0 and (#self.list + 1) * self.board.count > MAX_REMEMBERED do forget_oldest(self) end
  local pool, pools = Pool.new(self.board, kind, nil, book_for(self, seen)), self.by_kind[kind.key] or {}
  self.by_kind[kind.key], pools[seen], pool.seen, self.list[#self.list + 1] = pools, pool, seen, pool
  return pool
end

--- The pool for a task.
-- @tparam Kind kind
-- @tparam table task values that a policy can see
-- @treturn Pool
function Pools:get(kind, task)
  follow_noted(self)
  local seen, pools = seen_key(self, kind, task), self.by_kind[kind.key]
  local pool = pools and pools[seen] or make(self, kind, seen)
  self.turn = self.turn + 1
  pool.used_at = self.turn
  return pool
end

--- Forgets one pool: what it knows is not to be trusted.
function Pools:drop(pool)
  for position, known in ipairs(self.list) do
    if known == pool then table.remove(self.list, position) break end
  end
  unlist(self, pool)
end

--- Forgets all.
function Pools:clear()
  -- By the kind's key, and by what the policy sees.
  self.by_kind, self.list = {}, {}
  -- A book goes when no pool uses it.
  self.books = setmetatable({}, { __mode = "v" })
end

--- A node is not what it was, or is not there any more.
function Pools:forget(id)
  for _, pool in ipairs(self.list) do pool:forget(id) end
end

return Pools
