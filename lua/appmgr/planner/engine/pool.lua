--- The nodes that may take a replica of one kind, in the order of the policy's
-- score: kept from task to task, brought up to date with what changed.
--
-- A pool serves all tasks of its kind that agree in whatever the policy was ever seen to look at; for those
-- each node has one score, as long as it holds nothing of the task itself. What a task changes for
-- itself (a node that has enough of it, a score that counts its own replicas) is marked, and put right before the next.
local Book = require("appmgr.planner.engine.book")
local Ranking = require("appmgr.planner.engine.ranking")
local kinds = require("appmgr.planner.kind")
local ports = require("appmgr.planner.rules.ports")

local Pool = {}
Pool.__index = Pool

-- Of so many classes for each node, on average, it is remembered whether there is room.
local MAX_CLASSES_PER_NODE = 8

--- @tparam Board board
-- @tparam Kind kind
-- @tparam[opt] {integer,...} ids of the nodes it is about; else all
-- @tparam[opt] Book book of what the policy says; else one of its own
-- @treturn Pool `groups`: nodes that affinity, spread and relations see alike; `ranking`, `node` (one of them) each
function Pool.new(board, kind, ids, book)
  local self = setmetatable({
    board = board, kind = kind, ids = ids, answers = board:answers(kind), groups = {}, version = {}, marked = {},
    fits = {}, fits_count = 0, book = book or Book.new(board), max_total = board.limits.max_replicas_per_node,
  }, Pool)
  if kind.is_grouped then
    self.group_of, self.by_key = {}, {}
  else
    self.groups[1] = { ranking = Ranking.new() }
  end
  return self
end

local function group_for(self, id)
  local node = self.board.by_id[id].node
  local key = kinds.group_key(self.kind, node)
  local group = self.by_key[key]
  if not group then
    group = { ranking = Ranking.new(), node = node, affinity = self.kind.affinity and self.kind.affinity.score(node) or 0 }
    self.by_key[key], self.groups[#self.groups + 1] = group, group
  end
  self.group_of[id] = group
  return group
end

--- The ranking a node belongs to.
-- @tparam integer id of a live node
-- @treturn Ranking
function Pool:ranking_of(id)
  if not self.group_of then return self.groups[1].ranking end
  return (self.group_of[id] or group_for(self, id)).ranking
end

local function has_room(self, class)
  if class.total >= self.max_total then return false end
  local kind, free = self.kind, class.free
  local amounts, is_default = kind.amounts, kind.is_default
  for position, name in ipairs(kind.names) do
    local have, amount = free[name], amounts[position]
    if amount > 0 and (have or is_default[position] and amount or 0) < amount then return false end
  end
  return true
end

local function learn_room(self, class)
  if self.fits_count > MAX_CLASSES_PER_NODE * self.board.count then self.fits, self.fits_count = {}, 0 end
  local fits = has_room(self, class)
  self.fits[class], self.fits_count = fits, self.fits_count + 1
  return fits
end

--- Whether the node has the ports that are wanted.
-- @tparam integer id
-- @treturn boolean
function Pool:fits_ports(id)
  if not self.kind.ports then return true end
  local site = self.board.by_id[id]
  return ports.assign(self.kind.ports, site.in_use, site.node.ports, "") ~= nil
end

--- Whether there is room on a node for one more.
-- @tparam integer id of a live node
-- @treturn boolean
function Pool:has_room(id)
  local class = self.board.class[id]
  local fits = self.fits[class]
  if fits == nil then fits = learn_room(self, class) end
  return fits and (not self.kind.ports or self:fits_ports(id))
end

--- What a node is worth: may ask the policy, so only within its limits.
-- @tparam table asker see Book.verdict
-- @tparam integer id
-- @treturn number|false false when it can take nothing
function Pool:evaluate(asker, id)
  local answer = self.answers[id]
  if answer == nil then answer = self.board:ask(self.answers, self.kind, id) end
  if not answer or not self:has_room(id) then return false end
  return self.book:verdict(asker, id, self.board.class[id])
end

--- Gives a node the place it has now.
function Pool:refresh(asker, id)
  local score = self:evaluate(asker, id)
  self.version[id] = self.board.version[id]
  if score then
    self:ranking_of(id):put(id, score)
  elseif self.group_of then
    local group = self.group_of[id]
    if group then group.ranking:remove(id) end
  else
    self.groups[1].ranking:remove(id)
  end
end

local function fill_one(self, asker, id)
  local score = self:evaluate(asker, id)
  self.version[id] = self.board.version[id]
  if not score then return end
  local ranking = self:ranking_of(id)
  if not ranking.is_filling then ranking:start_filling() end
  ranking:put(id, score)
end

--- Asks about every node.
function Pool:fill(asker)
  if self.ids then
    for _, id in ipairs(self.ids) do fill_one(self, asker, id) end
  else
    for id = 1, self.board.count do fill_one(self, asker, id) end
  end
  for _, group in ipairs(self.groups) do group.ranking:finish_filling() end
  self.cursor = self.board.log_start + #self.board.log
end

--- Asks about every node that is still in it, whose scores all can have changed.
function Pool:rescore(asker)
  for _, group in ipairs(self.groups) do
    local ranking, fresh = group.ranking, Ranking.new()
    for id in pairs(ranking.score) do
      local score = self:evaluate(asker, id)
      if score then fresh:put(id, score) end
    end
    group.ranking = fresh
  end
end

--- Notes that a node's place is one for the task of the moment only.
function Pool:mark(id)
  self.marked[#self.marked + 1] = id
end

-- A node whose description changed may belong to another group, or to none.
local function leave_group(self, id)
  local group = self.group_of and self.group_of[id]
  if group then
    group.ranking:remove(id)
    self.group_of[id] = nil
  end
end

--- A node is not what it was, or is not there any more.
function Pool:forget(id)
  leave_group(self, id)
  if not self.group_of then self.groups[1].ranking:remove(id) end
  self.version[id], self.answers[id] = nil, nil
  self.book:forget(id)
end

local function catch_up_all(self, asker)
  local version, own, answers = self.board.version, self.version, self.answers
  for id = 1, self.board.count do
    if answers[id] ~= false and own[id] ~= version[id] then self:refresh(asker, id) end
  end
end

--- Puts right what has changed since it was last used.
function Pool:catch_up(asker)
  if not self.cursor then return self:fill(asker) end
  local board, marked = self.board, self.marked
  self.marked = {}
  for _, id in ipairs(marked) do self:refresh(asker, id) end
  local log, version, own, answers = board.log, board.version, self.version, self.answers
  local from = self.cursor - board.log_start
  if from < 0 or #log - from > 2 * board.count then
    catch_up_all(self, asker)
  else
    for position = from + 1, #log do
      local id = log[position]
      if answers[id] ~= false and own[id] ~= version[id] then self:refresh(asker, id) end
    end
  end
  self.cursor = board.log_start + #log
end

--- Everything up to now is known to it: what changed while it was in use is marked.
function Pool:end_use()
  self.cursor = self.board.log_start + #self.board.log
end

return Pool
