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

local put = Ranking.put

-- Of so many classes for each node, on average, it is remembered what they are worth.
local MAX_CLASSES_PER_NODE = 8

--- @tparam Board board
-- @tparam Kind kind
-- @tparam[opt] {integer,...} ids of the nodes it is about; else all
-- @tparam[opt] Book book of what the policy says; else one of its own
-- @treturn Pool `groups`: nodes that affinity, spread and relations see alike; `ranking`, `node` (one of them) each;
--   `ranking`: of all nodes where there are no groups
function Pool.new(board, kind, ids, book)
  local self = setmetatable({
    board = board, kind = kind, ids = ids, answers = board:answers(kind), groups = {}, version = {}, marked = {},
    worth = {}, worth_count = 0, book = book or Book.new(board), max_total = board.limits.max_replicas_per_node,
  }, Pool)
  -- Whether nodes of one class that are alike to the policy are worth the same.
  self.is_by_class = not kind.ports and not self.book.is_global
  if kind.is_grouped then
    self.group_of, self.by_key = {}, {}
  else
    self.ranking = Ranking.new()
    self.groups[1] = { ranking = self.ranking }
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
  return self.ranking or (self.group_of[id] or group_for(self, id)).ranking
end

-- Whether a node of a class has room for one more, ports aside.
local function fits(self, class)
  if class.total >= self.max_total then return false end
  local kind, free = self.kind, class.free
  local names, amounts, is_default = kind.names, kind.amounts, kind.is_default
  for position = 1, #names do
    local have, amount = free[names[position]], amounts[position]
    if amount > 0 and (have or is_default[position] and amount or 0) < amount then return false end
  end
  return true
end

-- Whether the node has the ports that are wanted.
local function fits_ports(self, id)
  local site = self.board.by_id[id]
  return ports.assign(self.kind.ports, site.in_use, site.node.ports, "") ~= nil
end

--- Whether there is room on a node for one more.
-- @tparam integer id of a live node
-- @treturn boolean
function Pool:has_room(id)
  return fits(self, self.board.class[id]) and (not self.kind.ports or fits_ports(self, id))
end

-- Remembers what nodes are worth that are of one class and alike to the policy.
local function remember(self, id, class, score)
  local board = self.board
  if self.worth_count > MAX_CLASSES_PER_NODE * board.count then self.worth, self.worth_count = {}, 0 end
  local static = board.static[id] or board:static_of(id)
  local by_class = self.worth[static]
  if not by_class then
    by_class = {}
    self.worth[static] = by_class
  end
  by_class[class], self.worth_count = score, self.worth_count + 1
end

local verdict = Book.verdict

local function find_out(self, asker, id)
  local board, answers = self.board, self.answers
  local answer = answers[id]
  if answer == nil then answer = board:ask(answers, self.kind, id) end
  if not answer then return false end
  local class = board.class[id]
  -- Many nodes one after the other are of one class.
  if class ~= self.last_class then self.last_class, self.last_fits = class, fits(self, class) end
  local has_room = self.last_fits and (not self.kind.ports or fits_ports(self, id))
  local score = has_room and verdict(self.book, asker, id, class)
  if self.is_by_class and not board.tells_apart then remember(self, id, class, score) end
  return score
end

-- Called for every change of a node by every pool that is in use; as are those below, which is why they are no methods.
local function evaluate(self, asker, id)
  local board = self.board
  local known = self.worth[board.static[id]]
  local score = known and known[board.class[id]]
  if score ~= nil and self.answers[id] then return score end
  return find_out(self, asker, id)
end

--- What a node is worth: may ask the policy, so only within its limits.
-- @tparam table asker see Book.verdict
-- @tparam integer id
-- @treturn number|false false when it can take nothing
function Pool:evaluate(asker, id)
  return evaluate(self, asker, id)
end

-- The ranking in which a node may be; nil for one that was never in any.
local function known_ranking(self, id)
  return self.ranking or self.group_of[id] and self.group_of[id].ranking
end

-- Gives a node the place it has now.
local function refresh(self, asker, id)
  local score = evaluate(self, asker, id)
  self.version[id] = self.board.version[id]
  if score then
    put(self.ranking or self:ranking_of(id), id, score)
  else
    local ranking = known_ranking(self, id)
    if ranking then ranking:remove(id) end
  end
end

-- Ranks all nodes of the pool, which is in no order yet.
local function rank_all(self, ids, scores)
  if self.ranking then
    self.ranking = Ranking.of(ids, scores)
    self.groups[1].ranking = self.ranking
    return
  end
  local parts = {}
  for position, id in ipairs(ids) do
    local group = self.group_of[id] or group_for(self, id)
    local part = parts[group] or { ids = {}, scores = {} }
    parts[group], part.ids[#part.ids + 1], part.scores[#part.scores + 1] = part, id, scores[position]
  end
  for group, part in pairs(parts) do group.ranking = Ranking.of(part.ids, part.scores) end
end

--- Asks about every node.
function Pool:fill(asker)
  local ids, scores, own, version = {}, {}, self.version, self.board.version
  for position = 1, self.ids and #self.ids or self.board.count do
    local id = self.ids and self.ids[position] or position
    local score = evaluate(self, asker, id)
    own[id] = version[id]
    if score then ids[#ids + 1], scores[#scores + 1] = id, score end
  end
  rank_all(self, ids, scores)
  self.cursor = self.board.log_start + #self.board.log
end

--- Asks about every node that is still in it, whose scores all can have changed.
function Pool:rescore(asker)
  local ids, scores = {}, {}
  for _, group in ipairs(self.groups) do
    for id in pairs(group.ranking.score) do
      local score = evaluate(self, asker, id)
      if score then ids[#ids + 1], scores[#scores + 1] = id, score end
    end
    group.ranking = Ranking.new()
  end
  rank_all(self, ids, scores)
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
  if self.ranking then self.ranking:remove(id) end
  self.version[id], self.answers[id] = nil, nil
  self.book:forget(id)
end

local function catch_up_all(self, asker)
  local version, own, answers = self.board.version, self.version, self.answers
  for id = 1, self.board.count do
    if answers[id] ~= false and own[id] ~= version[id] then refresh(self, asker, id) end
  end
end

-- Puts right the places that were for one task only. Tasks that are alike often have the same nodes: a node that was put aside
-- for the one before, and would be for this one, stays aside.
local function return_marked(self, asker, is_out, question)
  local marked, still = self.marked, {}
  self.marked = still
  for _, id in ipairs(marked) do
    local ranking = known_ranking(self, id)
    if ranking and not ranking.score[id] and is_out(question, id) then
      still[#still + 1] = id
    else
      refresh(self, asker, id)
    end
  end
end

--- Puts right what has changed since it was last used.
-- @tparam table asker see Book.verdict
-- @tparam function is_out (question, id) → whether the node is not wanted anyway
-- @tparam table question
function Pool:catch_up(asker, is_out, question)
  if not self.cursor then return self:fill(asker) end
  return_marked(self, asker, is_out, question)
  local board = self.board
  local log, version, own, answers = board.log, board.version, self.version, self.answers
  local from = self.cursor - board.log_start
  if from < 0 or #log - from > 2 * board.count then
    catch_up_all(self, asker)
  else
    for position = from + 1, #log do
      local id = log[position]
      if answers[id] ~= false and own[id] ~= version[id] then refresh(self, asker, id) end
    end
  end
  self.cursor = board.log_start + #log
end

--- Everything up to now is known to it: what changed while it was in use is marked.
function Pool:end_use()
  self.cursor = self.board.log_start + #self.board.log
end

return Pool
