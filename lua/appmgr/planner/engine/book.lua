--- What a policy says of nodes, for tasks that are alike in all that it was seen
-- to look at: asked once for nodes that are alike, or once for each state of a node where no two are.
local Book = {}
Book.__index = Book

-- So many worth of classes are remembered for each node, on average.
local MAX_PER_NODE = 8

--- @tparam Board board
-- @treturn Book
function Book.new(board)
  local self = setmetatable({ board = board, is_global = board.policy.is_global, class_of = {}, known = {} }, Book)
  self:forget_classes()
  return self
end

--- Forgets what nodes of each class are worth.
function Book:forget_classes()
  self.worth, self.count, self.noted = {}, 0, self.board.noted
end

--- A node is not what it was.
function Book:forget(id)
  self.class_of[id] = nil
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

local math_type = math.type

--- Asks the policy about a node, whatever was asked before.
-- @tparam table asker see `verdict`
-- @tparam Site site
-- @treturn number|false the score; false when the policy refuses it
function Book:ask(asker, site)
  local seen = self.board:show(site)
  if asker.filter and not passes(asker, seen) then return false end
  local score = asker.score(asker.task, seen, asker.cluster, asker.options)
  if not math_type(score) or score ~= score then
    bad_result(asker, ("score of node \"%s\" must be a number, not %s"):format(site.name, tostring(score)))
  end
  return score
end

-- Asks about one node, for all that are alike.
local function learn(self, asker, id, static, class)
  local board = self.board
  local verdict = self:ask(asker, board.by_id[id])
  -- The policy may have looked at more than the nodes were grouped by.
  if board:follow_noted() then
    self:forget_classes()
    return verdict
  end
  if self.count > MAX_PER_NODE * board.count then self:forget_classes() end
  local worth = self.worth[static]
  if not worth then
    worth = {}
    self.worth[static] = worth
  end
  worth[class], self.count = verdict, self.count + 1
  return verdict
end

-- Where no two nodes are alike to the policy, each is remembered as it was last.
local function verdict_of_one(self, asker, id, class)
  if self.class_of[id] == class then return self.known[id] end
  local verdict = self:ask(asker, self.board.by_id[id])
  self.board:follow_noted()
  -- In this order: it may be cut off in between.
  self.known[id] = verdict
  self.class_of[id] = class
  return verdict
end

--- What the policy says of a node: asks it where that is not known, so only within its limits.
-- @tparam table asker `filter`, `score`, `task`, `cluster`, `options`; gets `bad_result`
-- @tparam integer id
-- @tparam table class of the node
-- @treturn number|false the score; false when the policy refuses it
function Book:verdict(asker, id, class)
  local board = self.board
  if self.is_global then return self:ask(asker, board.by_id[id]) end
  if board.tells_apart then return verdict_of_one(self, asker, id, class) end
  if self.noted ~= board.noted then self:forget_classes() end
  local static = board.static[id] or board:static_of(id)
  local worth = self.worth[static]
  local verdict = worth and worth[class]
  if verdict == nil then return learn(self, asker, id, static, class) end
  return verdict
end

return Book
