--- The nodes that may take a replica of one kind, in the order of the policy's
-- score: kept from task to task, brought up to date with what changed.
--
-- A pool serves all tasks of its kind that agree in whatever the policy was ever seen to look at; for those
-- each node has one score, as long as it holds nothing of the task itself. What a task changes for
-- itself (a node that has enough of it, a score that counts its own replicas) is marked, and put right before the next.
local Ranking = require("appmgr.planner.engine.ranking")
local kinds = require("appmgr.planner.kind")
local ports = require("appmgr.planner.rules.ports")

local Pool = {}
Pool.__index = Pool

-- So many worth of classes are remembered for each node, on average.
local MAX_MEMOS_PER_NODE = 8

--- @tparam Board board
-- @tparam Kind kind
-- @tparam[opt] {integer,...} ids of the nodes it is about; else all
-- @treturn Pool `groups`: nodes that affinity, spread and relations see alike; `ranking`, `node` (one of them) each
function Pool.new(board, kind, ids)
  local self = setmetatable({
    board = board, kind = kind, ids = ids, answers = board:answers(kind), groups = {}, version = {}, marked = {},
    is_global = board.policy.is_global, max_total = board.limits.max_replicas_per_node,
  }, Pool)
  self:forget_worth()
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

local function bad_result(asker, text)
  asker.bad_result = text
  error(text, 0)
end

local function passes(asker, seen)
  local verdict, code = asker.filter(asker.task, seen, asker.cluster, asker.options)
  if verdict == true then return true end
  if verdict ~= false then bad_result(asker, "filter must return true or false, not a " .. type(verdict)) end
  if code ~= nil and type(code) ~= "string" then
    bad_result(asker, "filter's code must be a string, not a " .. type(code))
  end
  return false
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

local math_type = math.type

--- What a node is worth by its numbers: asks the policy, whatever was asked before.
-- @tparam table asker see `evaluate`
-- @tparam Site site
-- @treturn number|false false when it can take nothing
function Pool:ask(asker, site)
  if not has_room(self, site.class) then return false end
  local seen = self.board:show(site)
  if asker.filter and not passes(asker, seen) then return false end
  local score = asker.score(asker.task, seen, asker.cluster, asker.options)
  if not math_type(score) or score ~= score then
    bad_result(asker, ("score of node \"%s\" must be a number, not %s"):format(site.name, tostring(score)))
  end
  return score
end

--- Forgets what nodes of each class are worth.
function Pool:forget_worth()
  self.worth, self.worth_count, self.noted = {}, 0, self.board.noted
end

-- Asks about one node, for all that are alike.
local function learn(self, asker, id, static)
  local board = self.board
  local site = board.by_id[id]
  local class = site.class
  local score = self:ask(asker, site)
  if self.is_global or board:follow_noted() or board:tells_apart() then
    -- The policy looked at more than the nodes were grouped by, or no two nodes are alike to it.
    if self.noted ~= board.noted then self:forget_worth() end
    return score
  end
  if self.worth_count > MAX_MEMOS_PER_NODE * board.count then self:forget_worth() end
  local worth = self.worth[static]
  if not worth then
    worth = {}
    self.worth[static] = worth
  end
  worth[class], self.worth_count = score, self.worth_count + 1
  return score
end

--- Whether the node has the ports that are wanted.
-- @tparam integer id
-- @treturn boolean
function Pool:fits_ports(id)
  if not self.kind.ports then return true end
  local site = self.board.by_id[id]
  return ports.assign(self.kind.ports, site.in_use, site.node.ports, "") ~= nil
end

--- What a node is worth: asks the policy where it does not know, so only within its limits.
-- @tparam table asker `filter`, `score`, `task`, `cluster`, `options`; gets `bad_result`
-- @tparam integer id
-- @treturn number|false false when it can take nothing
function Pool:evaluate(asker, id)
  local answer, board = self.answers[id], self.board
  if answer == nil then answer = board:ask(self.answers, self.kind, id) end
  if not answer then return false end
  if self.kind.ports and not self:fits_ports(id) then return false end
  if self.noted ~= board.noted then self:forget_worth() end
  local static = board.static[id] or board:static_of(id)
  local worth = self.worth[static]
  local score = worth and worth[board.class[id]]
  if score == nil then return learn(self, asker, id, static) end
  return score
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

local function each_id(self, fn)
  if not self.ids then
    for id = 1, self.board.count do fn(id) end
    return
  end
  for _, id in ipairs(self.ids) do fn(id) end
end

--- Asks about every node.
function Pool:fill(asker)
  local version = self.board.version
  each_id(self, function(id)
    local score = self:evaluate(asker, id)
    self.version[id] = version[id]
    if score then self:ranking_of(id):put(id, score) end
  end)
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
end

local function catch_up_all(self, asker)
  local version = self.board.version
  each_id(self, function(id)
    if self.answers[id] ~= false and self.version[id] ~= version[id] then self:refresh(asker, id) end
  end)
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
