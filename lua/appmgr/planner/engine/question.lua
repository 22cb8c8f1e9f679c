--- One question: on which nodes do the replicas of one task go? Runs within the
-- limits of the policy, and may be cut off at any moment: what it leaves behind is then counted anew.
local Classes = require("appmgr.planner.engine.classes")
local Ranking = require("appmgr.planner.engine.ranking")
local ports = require("appmgr.planner.rules.ports")
local surroundings = require("appmgr.planner.engine.surroundings")

local M = {}

local put, top = Ranking.put, Ranking.top

-- Whether a node has no room for another replica of this task, whatever else it has room for.
local function is_full(question, id)
  return question.denied[id] or (question.own[id] or 0) >= question.limit
end

-- The best node of a group. A full one that comes to the top is put aside until a task comes that may have it.
local function top_of(question, ranking)
  local id, score = top(ranking)
  while id and is_full(question, id) do
    question.pool:mark(id)
    ranking:remove(id)
    id, score = top(ranking)
  end
  return id, score
end

-- What the task's own wishes say of a group; nil when its relations forbid it.
local function wish(question, group)
  if surroundings.rejects(question.around, question.name, group.node) then return nil end
  local wish_score = group.affinity
  if question.tally then wish_score = wish_score + question.tally:score(group.node.labels) end
  return wish_score
end

-- Of all groups' best the one with the highest wish, then the highest score, then the first name; and that wish.
local function best_of_groups(question)
  local best_id, best_score, best_wish, best_ranking
  for _, group in ipairs(question.pool.groups) do
    local id, score = top_of(question, group.ranking)
    local own = id and wish(question, group)
    if own and (not best_id or own > best_wish
      or own == best_wish and (score > best_score or score == best_score and id < best_id)) then
      best_id, best_score, best_wish, best_ranking = id, score, own, group.ranking
    end
  end
  return best_id, best_ranking, best_wish
end

local function best(question)
  local ranking = question.pool.ranking
  if not ranking then return best_of_groups(question) end
  return top_of(question, ranking), ranking, 0
end

-- Relations and spread count what the task itself has just been given.
local function note_own(question, node)
  if question.tally then question.tally:add(node.labels, 1) end
  surroundings.note_own(question.around, question.name, node)
end

-- A score that counts the task's own replicas is asked for again, for this task alone.
local function own_score(question, id)
  local site, count = question.board.by_id[id], question.staying[id]
  if not count then return question.pool:evaluate(question.asker, id) end
  question.board:show(site)
  site.visible.task_replicas = count
  local score = question.pool:has_room(id) and question.pool.book:ask(question.asker, site)
  site.visible.task_replicas = 0
  return score
end

local function rank_own(question, ranking, id)
  local score = not is_full(question, id) and own_score(question, id)
  if score then put(ranking, id, score) else ranking:remove(id) end
end

local function rescore_all(question)
  question.pool:rescore(question.asker)
  for id in pairs(question.staying) do
    local ranking = question.pool:ranking_of(id)
    if ranking.score[id] then rank_own(question, ranking, id) end
  end
end

local function take(question, id, ranking)
  local board, kind, pool = question.board, question.kind, question.pool
  local site, given, position = board.by_id[id], nil, #question.chosen + 1
  if kind.ports then
    given = ports.assign(kind.ports, site.in_use, site.node.ports, question.name .. "." .. question.slots[position])
  end
  pool:mark(id)
  -- Whoever is cut off below this line finds here what has to be counted anew.
  question.chosen[position], question.ports[position] = site, given
  board:step(site, Classes.COME, question.room)
  if given then site:count_ports(given, 1) end
  if question.is_global then board:show_replicas() end
  question.own[id] = (question.own[id] or 0) + 1
  if question.counts_own then question.staying[id] = (question.staying[id] or 0) + 1 end
  if pool.group_of then note_own(question, site.node) end
  if question.is_global then
    rescore_all(question)
  else
    rank_own(question, ranking, id)
  end
end

-- Nodes that hold some of the task already have a score of their own for it.
local function rank_holders(question)
  for id in pairs(question.staying) do
    local ranking = question.pool:ranking_of(id)
    if ranking.score[id] then
      question.pool:mark(id)
      rank_own(question, ranking, id)
    end
  end
end

--- The best node for one more, which gets nothing by that. To be run by Policy:run.
-- @tparam table question see `choose`
-- @treturn ?integer its id; nil when there is none
-- @treturn ?number its score
-- @treturn ?number how much the task's own wishes speak for it
function M.peek(question)
  question.pool:catch_up(question.asker, is_full, question)
  rank_holders(question)
  local id, ranking, wish_score = best(question)
  question.pool:end_use()
  if id then return id, ranking.score[id], wish_score end
end

--- What a node would be worth to one of the task's replicas that it has, if it had not got it yet. To be run by Policy:run.
-- @tparam table question see `choose`; gets `lifted` while it is asked, the site, for who is cut off
-- @tparam Site site
-- @tparam[opt] {table,...} rooms of others there that are about to go, see Classes:room
-- @treturn number|false the score; false when the policy refuses it
function M.worth_of_own(question, site, rooms)
  local board, class = question.board, site.class
  question.lifted, question.lifted_class = site, class
  site.class = board.classes:step(class, Classes.GO, question.room)
  for _, room in ipairs(rooms or {}) do site.class = board.classes:step(site.class, Classes.GO, room) end
  board:show(site)
  if question.counts_own then site.visible.task_replicas = question.staying[site.id] - 1 end
  local score = question.pool.book:ask(question.asker, site)
  if question.counts_own then site.visible.task_replicas = 0 end
  site.class, question.lifted = class, nil
  return score
end

--- Puts right what `worth_of_own` was cut off in.
-- @tparam table question
function M.put_down(question)
  local site = question.lifted
  if not site then return end
  site.class, site.record, site.visible, question.lifted = question.lifted_class, nil, nil, nil
end

--- Chooses nodes, and counts what they get. To be run by Policy:run.
-- @tparam table question `board`, `pool`, `kind`, `name` of the task, `asker` (see Pool.evaluate), `count` (how many at
--   most), `limit` (of the task per node), `own` and `staying` (replicas of the task by node's id: all, and those that
--   stay where the score looks at them), `denied` (set of ids), `around` (see surroundings.of), `tally` (of spread, nil without),
--   `slots` (numbers that will be given), `room` (see Classes:room), `counts_own` (whether the score looks at the task's own
--   replicas), `is_global`; gets `chosen` (sites) and `ports` (by position, where any are wanted)
function M.choose(question)
  if question.is_global then question.board:show_replicas() end
  question.pool:catch_up(question.asker, is_full, question)
  rank_holders(question)
  while #question.chosen < question.count do
    local id, ranking = best(question)
    if not id then break end
    take(question, id, ranking)
  end
  question.pool:end_use()
  return true
end

return M
