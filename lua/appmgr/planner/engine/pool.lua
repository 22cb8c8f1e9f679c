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

--- @tparam Board board
-- @tparam Kind kind
-- @tparam[opt] {integer,...} ids of the nodes it is about; else all
-- @treturn Pool `groups`: nodes that affinity, spread and relations see alike; `ranking`, `node` (one of them) each
function Pool.new(board, kind, ids)
  local self = setmetatable({
    board = board, kind = kind, ids = ids, answers = board:answers(kind), groups = {}, version = {}, marked = {},
    max_total = board.limits.max_replicas_per_node,
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

local function bad_result(asker, text)
  asker.bad_result = text
  error(text, 0)
end

local function passes(asker, site)
  local verdict, code = asker.filter(asker.task, site.record, asker.cluster, asker.options)
  if verdict == true then return true end
  if verdict ~= false then bad_result(asker, "filter must return true or false, not a " .. type(verdict)) end
  if code ~= nil and type(code) ~= "string" then
    bad_result(asker, "filter's code must be a string, not a " .. type(code))
  end
  return false
end

local math_type = math.type

--- What a node is worth: asks the policy, so only within its limits.
-- @tparam table asker `filter`, `score`, `task`, `cluster`, `options`; gets `bad_result`
-- @tparam integer id
-- @treturn ?number nil when it can take nothing
function Pool:evaluate(asker, id)
  local answer = self.answers[id]
  if answer == nil then answer = self.board:ask(self.answers, self.kind, id) end
  if not answer then return nil end
  local site, kind = self.board.by_id[id], self.kind
  if site.total >= self.max_total then return nil end
  local free, names, amounts = site.free, kind.names, kind.amounts
  for position = 1, #names do
    local have, amount = free[names[position]], amounts[position]
    if have then
      if have < amount and amount > 0 then return nil end
    elseif amount > 0 and not kind.is_default[position] then
      return nil
    end
  end
  if kind.ports and not ports.assign(kind.ports, site.in_use, site.node.ports, "") then return nil end
  if asker.filter and not passes(asker, site) then return nil end
  local score = asker.score(asker.task, site.record, asker.cluster, asker.options)
  if not math_type(score) or score ~= score then
    bad_result(asker, ("score of node \"%s\" must be a number, not %s"):format(site.name, tostring(score)))
  end
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
