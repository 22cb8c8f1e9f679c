--- Keeps the account of who holds what: takes over what the store holds, and
-- writes down what a decision changes in it until that is confirmed.
local Classes = require("appmgr.planner.engine.classes")
local absence = require("appmgr.planner.absence")
local assignment = require("appmgr.assignment")
local canonical = require("appmgr.planner.rules.canonical")

local Ledger = {}
Ledger.__index = Ledger

--- @tparam Board board
-- @tparam Jobs jobs
-- @treturn Ledger `changed`: set of sites whose content the decision changes; `given`: holders that it gave, by task's name
function Ledger.new(board, jobs)
  return setmetatable({ board = board, jobs = jobs, changed = {}, given = {}, originals = {}, reserved = {} }, Ledger)
end

local function room_of(self, replica)
  local job = self.jobs:get(replica.task)
  return self.board.classes:room(job and job.kind)
end

local function count_in(self, site, replica)
  self.board:step(site, replica.leaving and Classes.COME_LEAVING or Classes.COME, room_of(self, replica))
  if replica.ports then site:count_ports(replica.ports, 1) end
end

local function add_held(self, site, replica)
  self.jobs:add_holders(replica.task, { { site = site, replica = replica } })
  count_in(self, site, replica)
end

local function remove_held(self, site, replica)
  self.board:step(site, replica.leaving and Classes.GO_LEAVING or Classes.GO, room_of(self, replica))
  if replica.ports then site:count_ports(replica.ports, -1) end
  self.jobs:remove_holder(site, replica)
end

--- Takes a site from what the counts are about to what the store holds. What was decided and is written by now are the
-- very same tables.
-- @tparam Site site
function Ledger:sync(site)
  local target, before = site.node and site.held or {}, site.view
  if target == before then return end
  local known, new = {}, {}
  for _, replica in ipairs(before) do known[replica] = true end
  for _, replica in ipairs(target) do
    if known[replica] then known[replica] = nil else new[#new + 1] = replica end
  end
  for _, replica in ipairs(before) do
    if known[replica] then remove_held(self, site, replica) end
  end
  for _, replica in ipairs(new) do add_held(self, site, replica) end
  site.view = target
end

--- Counts anew what a site has: what its tasks ask for has changed, or something was cut off while it counted.
-- @tparam Site site
function Ledger:recount(site)
  site:clear_ports()
  if not site.node then return end
  self.board:put_class(site, self.board.classes:empty(site.available))
  for _, replica in ipairs(site:current()) do count_in(self, site, replica) end
  for _, room in ipairs(site.reserved or {}) do self.board:step(site, Classes.COME_LEAVING, room) end
end

--- Keeps room on a site until the decision is made.
-- @tparam Site site
-- @tparam table room see Classes:room
function Ledger:reserve(site, room)
  site.reserved = site.reserved or {}
  table.insert(site.reserved, room)
  self.reserved[site] = true
  self.board:step(site, Classes.COME_LEAVING, room)
end

local function end_reservations(self)
  for site in pairs(self.reserved) do
    for _, room in ipairs(site.reserved) do self.board:step(site, Classes.GO_LEAVING, room) end
    site.reserved = nil
  end
  self.reserved = {}
end

-- Notes what becomes of what the store holds; `now` is false where nothing does.
local function edit(self, holder, now)
  local site, before = holder.site, holder.replica
  local edits = site.edits or {}
  site.edits, self.changed[site] = edits, true
  local original = self.originals[before] or before
  edits[original] = now
  if now then self.originals[now] = original end
end

-- Whether it was given in this decision: then it is not in the store yet, and there is nothing to note.
local function is_added(holder)
  for _, added in ipairs(holder.site.adds or {}) do
    if added == holder then return true end
  end
  return false
end

--- Replaces what a holder has.
-- @tparam holder holder `site`, `replica`
-- @tparam replica replica of the same slot
function Ledger:replace(holder, replica)
  local before, site = holder.replica, holder.site
  if before == replica then return end
  if not is_added(holder) then edit(self, holder, replica) end
  holder.replica = replica
  if (before.leaving == true) == (replica.leaving == true) then return end
  self.board:step(site, replica.leaving and Classes.RETIRE or Classes.RETURN, self.board.classes:room(nil))
end

--- Takes a holder off the account.
function Ledger:remove(holder)
  edit(self, holder, false)
  remove_held(self, holder.site, holder.replica)
end

local function new_replica(job, slot, since, ports)
  local stops_within = absence.stops_within(job.task)
  -- Most have neither, and there are so many that room for a field more in each would be felt.
  if not ports and not stops_within then
    return { task = job.name, slot = slot, version = job.task.version, since = since }
  end
  return {
    task = job.name, slot = slot, version = job.task.version, since = since, ports = ports, stops_within = stops_within,
  }
end

--- Gives sites replicas that were chosen for them, and counted already.
-- @tparam Job job
-- @tparam {Site,...} sites
-- @tparam {integer,...} slots a number for each, the lowest first
-- @tparam table ports by position, where any are given
-- @tparam integer since unix s
-- @treturn {holder,...}
function Ledger:give(job, sites, slots, ports, since)
  local holders = {}
  for position, site in ipairs(sites) do
    local holder = { site = site, replica = new_replica(job, slots[position], since, ports[position]) }
    local adds = site.adds
    if not adds then
      adds = {}
      site.adds, self.changed[site] = adds, true
    end
    holders[position], adds[#adds + 1] = holder, holder
  end
  self.jobs:add_holders(job.name, holders)
  self.given[job.name] = holders
  return holders
end

-- What sites were given, in the order of documents: tasks by name, and their slots in order. So nothing has to be sorted but
-- the names.
local function given_by_site(self)
  local by_site, names = {}, canonical.sorted_keys(self.given)
  for _, name in ipairs(names) do
    for _, holder in ipairs(self.given[name]) do
      local list = by_site[holder.site]
      if not list then
        list = {}
        by_site[holder.site] = list
      end
      list[#list + 1] = holder.replica
    end
  end
  return by_site
end

-- Two lists that are in the order of documents as one.
local function merged(kept, given)
  if #kept == 0 then return given end
  local list, next_given = {}, 1
  for _, replica in ipairs(kept) do
    while given[next_given] and assignment.before(given[next_given], replica) do
      list[#list + 1], next_given = given[next_given], next_given + 1
    end
    list[#list + 1] = replica
  end
  return table.move(given, next_given, #given, #list + 1, list)
end

--- Ends a decision.
-- @treturn table replicas by host, for those whose content changes
-- @treturn table set of the sites
function Ledger:close()
  end_reservations(self)
  local changes, changed, given = {}, self.changed, given_by_site(self)
  for site in pairs(changed) do
    local replicas = site:kept()
    if given[site] then replicas = merged(replicas, given[site]) end
    site.edits, site.adds, site.view = nil, nil, replicas
    changes[site.name] = replicas
  end
  self.changed, self.given, self.originals = {}, {}, {}
  return changes, changed
end

return Ledger
