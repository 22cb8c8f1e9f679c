--- All nodes as the engine keeps them, and what has changed since somebody last
-- looked: placing asks about thousands of nodes of which few have changed.
local Site = require("appmgr.planner.engine.site")
local hosting = require("appmgr.planner.hosting")

local Board = {}
Board.__index = Board

-- So many changes are remembered one by one; who is further behind looks at every node.
local MAX_LOG = 1000000

-- For so many different constraints the nodes' answers are kept.
local MAX_ACCEPTED = 200

--- @tparam ?Policy policy
-- @tparam table limits `max_replicas_per_node`
-- @treturn Board `sites` (by name), `by_id` and `count` (those of live nodes, in the order of names; a node that went
--   leaves a gap), `version` (by id; differs after each change), `log` (ids in the order of their changes), `replicas`
--   (that stay, of all nodes), `totals` (resources of all nodes)
function Board.new(policy, limits)
  local self = setmetatable({
    policy = policy, limits = limits, sites = {}, by_id = {}, count = 0, live = 0, version = {}, log = {}, log_start = 0,
    replicas = 0, totals = {}, accepted = {}, accepted_count = 0, local_names = {}, avoids = {}, choosy = {}, must_order = false,
  }, Board)
  self.position = function(site) return self:position_of(site) end
  if policy then
    self.cluster, self.cluster_visible = policy.new_cluster(setmetatable({}, {
      __index = function(_, key) return key == "nodes" and self.live or nil end,
    }))
  end
  return self
end

--- The site of a name, alive or not.
function Board:site(name)
  local site = self.sites[name]
  if not site then
    site = Site.new(name)
    self.sites[name] = site
  end
  return site
end

--- Notes that the counts of a site changed.
function Board:touch(site)
  local id = site.id
  if not id then return end
  local log = self.log
  log[#log + 1] = id
  self.version[id] = self.version[id] + 1
end

local function index_names(index, names, site, value)
  for name in pairs(names or {}) do
    index[name] = index[name] or {}
    index[name][site] = value
  end
end

-- Nodes that may have something against one task and nothing against others of its kind.
local function index_node(self, site, node, value)
  index_names(self.local_names, node.local_names, site, value)
  index_names(self.avoids, node.avoid, site, value)
  local permits = node.permits
  if permits and (permits.users or permits.commands) then self.choosy[site] = value end
end

local function add_totals(self, available, sign)
  local totals = self.totals
  for name, amount in pairs(available) do totals[name] = (totals[name] or 0) + sign * amount end
end

-- Answers that were kept for it do not hold any more.
local function forget_answers(self, id)
  for _, accepts in pairs(self.accepted) do accepts[id] = nil end
end

--- Takes over what a node is; nil when it is not alive any more.
-- @tparam Site site
-- @tparam ?table node
function Board:describe(site, node)
  local before = site.node
  if before then
    index_node(self, site, before, nil)
    add_totals(self, site.available, -1)
  end
  site:describe(node)
  if node then
    index_node(self, site, node, true)
    add_totals(self, site.available, 1)
  end
  self.live = self.live + (node and 1 or 0) - (before and 1 or 0)
  local id = site.id
  if id then
    forget_answers(self, id)
    self:touch(site)
    if node then site:introduce(self.policy, self.position) else self.by_id[id], site.id = nil, nil end
  end
  if (node == nil) ~= (before == nil) then self:note_membership(node ~= nil) end
end

--- The place of a live node in the order of names, from 0.
function Board:position_of(site)
  if not self.positions then
    self.positions = {}
    local position = 0
    for id = 1, self.count do
      if self.by_id[id] then
        self.positions[id], position = position, position + 1
      end
    end
  end
  return self.positions[site.id]
end

--- Who joins has a place among the names; who goes only leaves a gap, unless the policy looks at positions.
function Board:note_membership(has_joined)
  self.positions = nil
  local noted = self.policy and self.policy.noted
  local counts = noted and (noted.node.position or noted.cluster.nodes)
  if has_joined or counts then self.must_order = true end
end

--- Gives all live nodes their ids, after which nothing that was kept by id is worth anything.
function Board:order()
  self.positions = nil
  local names = {}
  for name, site in pairs(self.sites) do
    site.id = nil
    if site.node then names[#names + 1] = name end
  end
  table.sort(names)
  self.by_id, self.version, self.accepted, self.accepted_count, self.count = {}, {}, {}, 0, #names
  for id, name in ipairs(names) do
    local site = self.sites[name]
    self.by_id[id], self.version[id], site.id = site, 0, id
    site:introduce(self.policy, self.position)
  end
  if self.cluster_visible then self.cluster_visible.nodes = nil end
  self.log, self.log_start, self.must_order = {}, self.log_start + #self.log + 1, false
end

--- Forgets the changes one by one when they are too many.
-- @treturn boolean whether it did
function Board:trim_log()
  if #self.log <= MAX_LOG then return false end
  self.log, self.log_start = {}, self.log_start + #self.log + 1
  return true
end

--- The nodes that get nothing of one task in particular.
-- @tparam Job job
-- @tparam table denied set of ids, is added to
function Board:add_denied(job, denied)
  for _, sites in ipairs({ self.local_names[job.name] or {}, self.avoids[job.name] or {}, self.choosy }) do
    for site in pairs(sites) do
      if site.id and hosting.rejects_task(job, site.node) then denied[site.id] = true end
    end
  end
end

--- Lets the policy see how many replicas there are by now.
function Board:show_replicas()
  self.cluster_visible.replicas = self.replicas
end

--- The answers of the nodes to a kind, as far as they never change with placing.
-- @tparam Kind kind
-- @treturn table boolean by id, nil where nobody has asked yet: see `accepts`
function Board:answers(kind)
  local key = kind.constraint.key
  local answers = self.accepted[key]
  if not answers then
    if self.accepted_count >= MAX_ACCEPTED then self.accepted, self.accepted_count = {}, 0 end
    answers = {}
    self.accepted[key], self.accepted_count = answers, self.accepted_count + 1
  end
  return answers
end

--- Asks one node, and keeps the answer.
function Board:ask(answers, kind, id)
  local site = self.by_id[id]
  local answer = site ~= nil and hosting.rejects_kind(kind, site.node) == nil
  answers[id] = answer
  return answer
end

return Board
