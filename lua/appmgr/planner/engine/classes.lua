--- What a node has and holds, in numbers: nodes with the same numbers are of one
-- class, and whatever depends on the numbers alone is worked out once for all of them.
--
-- A class never changes. A node that gets or loses a replica goes from one class to another, and each class remembers
-- where such a step leads; so counting costs the same however many resources there are.
local canonical = require("appmgr.planner.rules.canonical")
local record = require("appmgr.planner.record")
local resources = require("appmgr.planner.rules.resources")

local Classes = {}
Classes.__index = Classes

-- What a step does to the number of replicas, and of those that stay; and whether it takes the request or gives it back.
local STEPS = {
  { total = 1, replicas = 1, sign = 1 }, { total = 1, replicas = 0, sign = 1 },
  { total = -1, replicas = -1, sign = -1 }, { total = -1, replicas = 0, sign = -1 },
  { total = 0, replicas = -1, sign = 0 }, { total = 0, replicas = 1, sign = 0 },
}

--- Steps, for `step`: a replica comes that stays, or that leaves; one goes that stayed, or that left; one that stayed
-- leaves from now on, or one that left stays.
Classes.COME, Classes.COME_LEAVING, Classes.GO, Classes.GO_LEAVING, Classes.RETIRE, Classes.RETURN = 1, 2, 3, 4, 5, 6

--- @treturn Classes `count` (how many there are)
function Classes.new()
  return setmetatable({
    by_key = {}, rooms = {}, room_count = 0, bases = {}, base_count = 0, name_lists = {}, list_count = 0, count = 0,
  }, Classes)
end

--- What replicas of a kind take, as one thing for all kinds that take the same.
-- @tparam ?Kind kind nil: nothing is known of it, so it counts as taking nothing
-- @treturn table `id`, `names`, `amounts`
function Classes:room(kind)
  local key = kind and kind.room_key or ""
  local room = self.rooms[key]
  if not room then
    self.room_count = self.room_count + 1
    room = { id = self.room_count, names = kind and kind.names or {}, amounts = kind and kind.amounts or {} }
    self.rooms[key] = room
  end
  return room
end

local function free_of(available, used)
  local free = {}
  for name, amount in pairs(available) do free[name] = amount - (used[name] or 0) end
  return free
end

-- The names of what is used, as one thing for all classes where they are the same.
local function names_of(self, used)
  local names = canonical.sorted_keys(used)
  local key = canonical.of(names)
  if not self.name_lists[key] then
    self.list_count = self.list_count + 1
    names.id = self.list_count
    self.name_lists[key] = names
  end
  return self.name_lists[key]
end

-- Most of what tells classes apart is a number for each part; the key is made with each new class, so it is short.
local function intern(self, base, total, replicas, used, names)
  local parts = { base.id, names.id, total, replicas }
  for position, name in ipairs(names) do parts[position + 4] = used[name] end
  local key = table.concat(parts, " ")
  local class = self.by_key[key]
  if class then return class end
  class = {
    base = base, names = names, total = total, replicas = replicas, used = used, free = free_of(base.available, used), steps = {},
  }
  self.by_key[key], self.count = class, self.count + 1
  return class
end

--- The class of a node that holds nothing.
-- @tparam table available resources by name
-- @treturn table `total` (replicas, also those that leave), `replicas` (those that stay), `used`, `free` (resources by name)
function Classes:empty(available)
  local key = resources.key(available)
  local base = self.bases[key]
  if not base then
    self.base_count = self.base_count + 1
    base = { id = self.base_count, available = available }
    self.bases[key] = base
  end
  local nothing = {}
  return intern(self, base, 0, 0, nothing, names_of(self, nothing))
end

--- What a class uses, for a policy to look at.
-- @tparam table class
-- @treturn table
function Classes.used_map(class)
  class.shown_used = class.shown_used or record.map(class.used)
  return class.shown_used
end

--- What is free in a class, for a policy to look at.
-- @tparam table class
-- @treturn table
function Classes.free_map(class)
  class.shown_free = class.shown_free or record.map(class.free)
  return class.shown_free
end

local function make_step(self, class, kind_of_step, room)
  local step, used, names = STEPS[kind_of_step], {}, class.names
  for name, amount in pairs(class.used) do used[name] = amount end
  for position, name in ipairs(step.sign ~= 0 and room.names or {}) do
    local amount = (used[name] or 0) + step.sign * room.amounts[position]
    local now = amount ~= 0 and amount or nil
    if (now == nil) ~= (used[name] == nil) then names = nil end
    used[name] = now
  end
  names = names or names_of(self, used)
  return intern(self, class.base, class.total + step.total, class.replicas + step.replicas, used, names)
end

--- The class a node goes to.
-- @tparam table class
-- @tparam integer kind_of_step one of the steps above
-- @tparam table room what the replica takes
-- @treturn table
function Classes:step(class, kind_of_step, room)
  local key = room.id << 3 | kind_of_step
  local target = class.steps[key]
  if not target then
    target = make_step(self, class, kind_of_step, room)
    class.steps[key] = target
  end
  return target
end

return Classes
