--- All nodes as the engine keeps them, and what has changed since somebody last
-- looked: placing asks about thousands of nodes of which few have changed.
local Classes = require("appmgr.planner.engine.classes")
local Site = require("appmgr.planner.engine.site")
local canonical = require("appmgr.planner.rules.canonical")
local hosting = require("appmgr.planner.hosting")
local resources = require("appmgr.planner.rules.resources")

local Board = {}
Board.__index = Board

local NOBODY = {}

-- So many changes are remembered one by one; who is further behind looks at every node.
local MAX_LOG = 1000000

-- For so many different constraints the nodes' answers are kept.
local MAX_ACCEPTED = 200

local function no_index(self)
  self.by_id, self.class, self.static, self.version, self.count = {}, {}, {}, {}, 0
  self.accepted, self.accepted_count, self.spectra = {}, 0, {}
end

--- @tparam ?Policy policy
-- @tparam table limits `max_replicas_per_node`
-- @treturn Board `sites` (by name); by id, the place of live nodes in the order of names, where a node that went leaves a
--   gap: `by_id` (sites), `class`, `static` (see `static_of`), `version` (differs after each change); `count` (of ids),
--   `live` (nodes), `log` (ids in the order of their changes), `replicas` (that stay, of all nodes), `totals` (resources of
--   all nodes), `classes`, `tells_apart` (whether the policy was seen to look at what no two nodes have in common)
function Board.new(policy, limits)
  local self = setmetatable({
    policy = policy, limits = limits, classes = Classes.new(), sites = {}, live = 0, log = {}, log_start = 0, replicas = 0,
    totals = {}, local_names = {}, avoids = {}, choosy = {}, must_order = false, statics = {}, static_count = 0, noted = 0,
    tells_apart = false,
  }, Board)
  no_index(self)
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

-- What changes -------------------------------------------------------------------

--- Notes that something about a site changed.
function Board:touch(site)
  local id = site.id
  if not id then return end
  local log = self.log
  log[#log + 1] = id
  self.version[id] = self.version[id] + 1
end

--- A site is of another class from now on.
-- @tparam Site site
-- @tparam ?table class nil when it is not alive any more
function Board:put_class(site, class)
  local before = site.class
  self.replicas = self.replicas + (class and class.replicas or 0) - (before and before.replicas or 0)
  site.class = class
  if site.id then self.class[site.id] = class end
  self:touch(site)
end

--- A replica comes, goes, leaves or stays after all: see Classes:step. Nothing is counted of a node that is not alive.
-- @tparam Site site
-- @tparam integer kind_of_step
-- @tparam table room see Classes:room
function Board:step(site, kind_of_step, room)
  local before = site.class
  if not before then return end
  local class = self.classes:step(before, kind_of_step, room)
  self.replicas = self.replicas + class.replicas - before.replicas
  site.class = class
  local id = site.id
  if not id then return end
  local log = self.log
  self.class[id], log[#log + 1], self.version[id] = class, id, self.version[id] + 1
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
  self.static[id], self.spectra = nil, {}
  for _, accepts in pairs(self.accepted) do accepts[id] = nil end
end

--- Takes over what a node is; nil when it is not alive any more. What it holds has to be counted after that.
-- @tparam Site site
-- @tparam ?table node
function Board:describe(site, node)
  local before, id = site.node, site.id
  if before then
    index_node(self, site, before, nil)
    add_totals(self, site.available, -1)
  end
  site.node, site.record, site.visible, site.available = node, nil, nil, node and resources.available(node)
  if node then
    index_node(self, site, node, true)
    add_totals(self, site.available, 1)
  end
  self.live = self.live + (node and 1 or 0) - (before and 1 or 0)
  if id then forget_answers(self, id) end
  self:put_class(site, node and self.classes:empty(site.available))
  if id and not node then self.by_id[id], self.class[id], site.id = nil, nil, nil end
  if (node == nil) ~= (before == nil) then self:note_membership(node ~= nil) end
end

-- The order of nodes ----------------------------------------------------------------

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
  local counts = noted and (noted.node.fields.position or noted.cluster.fields.nodes)
  if has_joined or counts then self.must_order = true end
end

--- Gives all live nodes their ids, after which nothing that was kept by id is worth anything.
function Board:order()
  local names = {}
  for name, site in pairs(self.sites) do
    site.id = nil
    if site.node then names[#names + 1] = name end
  end
  table.sort(names)
  no_index(self)
  self.positions, self.count = nil, #names
  for id, name in ipairs(names) do
    local site = self.sites[name]
    -- A policy may have been told its position.
    site.id, site.record, site.visible = id, nil, nil
    self.by_id[id], self.class[id], self.version[id] = site, site.class, 0
  end
  if self.cluster_visible then self.cluster_visible.nodes = nil end
  self.log, self.log_start, self.must_order = {}, self.log_start + #self.log + 1, false
end

--- Forgets the changes one by one when they are too many.
function Board:trim_log()
  if #self.log > MAX_LOG then self.log, self.log_start = {}, self.log_start + #self.log + 1 end
end

-- What can be asked ---------------------------------------------------------------------

local STATIC = { "name", "position", "labels", "capacity", "load" }

local function static_key(self, node)
  local fields, parts = self.policy.noted.node.fields, {}
  for _, field in ipairs(STATIC) do
    if fields[field] and type(node[field]) == "table" then
      parts[#parts + 1] = field
      for _, name in ipairs(canonical.sorted_keys(node[field])) do
        parts[#parts + 1] = name
        parts[#parts + 1] = node[field][name]
      end
    end
  end
  return canonical.of(parts)
end

--- A number that is the same for nodes that are alike in all that the policy was seen to look at and that placing does
-- not change.
-- @tparam integer id of a live node
-- @treturn integer
function Board:static_of(id)
  local key = static_key(self, self.by_id[id].node)
  local static = self.statics[key]
  if not static then
    self.static_count = self.static_count + 1
    static = self.static_count
    self.statics[key] = static
  end
  self.static[id] = static
  return static
end

--- Notices that the policy was seen to look at more of nodes than before.
-- @treturn boolean whether it was
function Board:follow_noted()
  local noted = self.policy.noted.node.count
  if noted == self.noted then return false end
  local fields = self.policy.noted.node.fields
  self.noted, self.static, self.statics = noted, {}, {}
  -- Nodes differ in these, so that no two are alike.
  self.tells_apart = (fields.name or fields.position) == true
  return true
end

--- The nodes that get nothing of one task in particular.
-- @tparam Job job
-- @tparam table others set of ids that are denied to it anyway, is not changed
-- @treturn table set of ids with those
function Board:denied(job, others)
  local with_name, avoiding = self.local_names[job.name], self.avoids[job.name]
  if not with_name and not avoiding and not next(self.choosy) then return others end
  local denied = {}
  for id in pairs(others) do denied[id] = true end
  for _, sites in ipairs({ self.choosy, with_name or NOBODY, avoiding or NOBODY }) do
    for site in pairs(sites) do
      if site.id and hosting.rejects_task(job, site.node) then denied[site.id] = true end
    end
  end
  return denied
end

--- The record of a site with its numbers as they are.
-- @tparam Site site
-- @treturn table
function Board:show(site)
  local made = site.record or site:introduce(self.policy, self.position)
  local visible, reads, class = site.visible, self.policy.reads, site.class
  if reads["node.replicas"] then visible.replicas = class.replicas end
  if reads["node.used"] then visible.used = Classes.used_map(class) end
  if reads["node.free"] then visible.free = Classes.free_map(class) end
  return made
end

--- Lets the policy see how many replicas there are by now.
function Board:show_replicas()
  self.cluster_visible.replicas = self.replicas
end

--- The answers of the nodes to a kind, as far as they never change with placing.
-- @tparam Kind kind
-- @treturn table boolean by id, nil where nobody has asked yet: see `ask`
function Board:answers(kind)
  local key = kind.constraint.key
  local answers = self.accepted[key]
  if not answers then
    if self.accepted_count >= MAX_ACCEPTED then self.accepted, self.accepted_count, self.spectra = {}, 0, {} end
    answers = {}
    self.accepted[key], self.accepted_count = answers, self.accepted_count + 1
  end
  return answers
end

-- Adds labels of a node that have a value which no node before had.
local function add_labels(list, seen, names, labels)
  local is_new = false
  for _, name in ipairs(names) do
    local value, values = labels[name], seen[name] or {}
    seen[name] = values
    if value and not values[value] then values[value], is_new = true, true end
  end
  if is_new then list[#list + 1] = labels end
end

--- All values that the nodes which may have a kind show of the labels that its spread looks at.
-- @tparam Kind kind with a spread
-- @treturn {table,...} labels of few nodes, in which each value is
function Board:spectrum(kind)
  local list, answers = self.spectra[kind.spectrum_key], self:answers(kind)
  if list then return list end
  local seen = {}
  list = {}
  for id = 1, self.count do
    local answer = answers[id]
    if answer == nil then answer = self:ask(answers, kind, id) end
    if answer then add_labels(list, seen, kind.spread.labels, self.by_id[id].node.labels) end
  end
  self.spectra[kind.spectrum_key] = list
  return list
end

--- Asks one node, and keeps the answer.
function Board:ask(answers, kind, id)
  local site = self.by_id[id]
  local answer = site ~= nil and hosting.rejects_kind(kind, site.node) == nil
  answers[id] = answer
  return answer
end

return Board
