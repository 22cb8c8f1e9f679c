--- The local applications of this node: those of the configuration, those added by hand, and what was enabled or disabled.
--
-- What was done by hand is kept in the state directory and holds across
-- restarts and SIGHUP. The configuration wins on a name. A change is kept first
-- and comes into force then: what the disk refuses is refused.
--
-- A state file that cannot be read says nothing: what may have been added goes
-- on running (`held`), and nothing is changed by hand until it is repaired.
local application = require("appmgr.application")
local suggest = require("appmgr.suggest")

local M = {}

local Locals = {}
Locals.__index = Locals

local KEY <const> = "local/"
local WORD = { [0] = "disabled", [1] = "enabled" }
--- How many names that are not known are told the nearest one, in one change.
local MAX_HINTS <const> = 3

--- @tparam table deps `state` (node/state.lua), `problems`, `json`, `on_change` (function(), `list` is another one now)
-- @treturn Locals without any; `configure` comes next
function M.new(deps)
  return setmetatable({
    state = deps.state, problems = deps.problems, json = deps.json, on_change = deps.on_change,
    configured = {}, kept = { added = {}, status = {} }, current = {}, held = {}, by_name = {},
  }, Locals)
end

--- A copy of an application that is enabled or disabled.
local function with_status(app, status)
  local copy = {}
  for name, value in pairs(app) do copy[name] = value end
  copy.status = status
  return copy
end

--- What was said by hand of an application's status; it ends when the document says something else than it did then.
local function override_of(kept, app)
  local override = kept.status[app.name]
  return override and override.instead_of == app.status and override.is or nil
end

--- An application as it is wanted; the one it was before when nothing of it has changed: who is given it knows by that.
local function current_of(self, app, before)
  local status = override_of(self.kept, app)
  if not status then self.kept.status[app.name] = nil end
  if before and before.document == app and before.current.status == (status or app.status) then return before.current end
  return status and with_status(app, status) or app
end

local function take(self, app, origin, before)
  local current = current_of(self, app, before)
  self.by_name[app.name] = { origin = origin, document = app, current = current, source = self.kept.added[app.name] }
  self.current[#self.current + 1] = current
end

--- Reads a document that was added, unless that was done.
local function read_added(self, name, before, read)
  local document = self.kept.added[name]
  if before and before.origin == "added" and before.source == document then return before.document end
  local app, errors = read[document], nil
  if not app then app, errors = application.read_local(document) end
  if app and app.name == name then return app end
  return nil, errors and table.concat(errors, "; ") or "another name stands in it"
end

local function take_added(self, name, before, read, told)
  local key = KEY .. name
  if self.by_name[name] then
    told[key] = true
    return self.problems:set(key, ('application "%s" was added by hand and stands in the configuration (%s) too: the one of'
      .. ' the configuration is used; "appmgr app rm %s" removes the other'):format(name, self.path, name))
  end
  local app, err = read_added(self, name, before, read)
  if app then return take(self, app, "added", before) end
  told[key], self.held[name] = true, true
  self.problems:set(key, ('application "%s", which was added by hand, cannot be used: %s; add it again or remove it with'
    .. ' "appmgr app rm %s"'):format(name, err, name))
end

--- Works out what is wanted; overrides that hold no more are dropped.
-- @tparam table read applications that were read, by the documents they were read from
local function rebuild(self, read)
  local before = self.by_name
  self.current, self.by_name, self.held = {}, {}, {}
  for _, app in ipairs(self.configured) do take(self, app, "configuration", before[app.name]) end
  local names, told = {}, {}
  for name in pairs(self.kept.added) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do take_added(self, name, before[name], read, told) end
  for name in pairs(self.kept.status) do
    if not self.by_name[name] and not self.held[name] then self.kept.status[name] = nil end
  end
  self.problems:clear_prefix(KEY, told)
end

local function load(self)
  local kept, err = self.state:load_applications()
  self.unreadable = err
  if not err then
    self.kept = kept or { added = {}, status = {} }
    return self.problems:clear("local")
  end
  self.problems:set("local", ("what was added, enabled or disabled by hand is not known: %s; what runs goes on; repair or"
    .. " remove the file and send SIGHUP"):format(err))
end

--- Takes the configuration's applications: at the start and whenever it was read again. Calls nothing.
-- @tparam table list applications as from application.read_local
-- @tparam string path of the configuration, for messages
function Locals:configure(list, path)
  self.configured, self.path = list, path
  if self.unreadable or not self.is_loaded then load(self) end
  self.is_loaded = true
  local before = self.json.encode(self.kept)
  rebuild(self, {})
  if not self.unreadable and self.json.encode(self.kept) ~= before then self.state:save_applications(self.kept) end
end

--- @treturn {table,...} the applications that are wanted: the configuration's, then those added, by name
function Locals:list()
  return self.current
end

--- Which applications go on as they are although they are not in the list.
-- @treturn table names as keys; `all` instead is true where nobody knows
function Locals:held_names()
  return { all = self.unreadable ~= nil, names = self.held }
end

-- Changes by hand ------------------------------------------------------------
--
-- A change is of any number of applications: what becomes of each is found out one after the other, on a copy; the copy is
-- kept in one write and comes into force at once. One that is refused keeps no other from being changed.

local function copy_of(kept)
  local copy = { added = {}, status = {} }
  for name, document in pairs(kept.added) do copy.added[name] = document end
  for name, override in pairs(kept.status) do copy.status[name] = override end
  return copy
end

local function refused(name, code, message)
  return { name = name, error = { code = code, message = message } }
end

--- Makes a function(name) that says which name may have been meant. Finding it compares with every name there is: that is
-- done for the first few of a change, not for each of thousands.
local function new_hint(self)
  local known, asked
  return function(name)
    if not known then
      known, asked = {}, 0
      for each in pairs(self.by_name) do known[#known + 1] = each end
    end
    asked = asked + 1
    local near = asked <= MAX_HINTS and suggest.nearest(name, known)
    return near and near ~= name and ('; did you mean "%s"?'):format(near) or '; "appmgr app ls" lists those there are'
  end
end

--- Changes several applications at once.
-- @tparam {any,...} items
-- @tparam function change_one (kept, item, hint) → its result: changes `kept`, the copy; `hint` see `new_hint`
-- @tparam[opt] table read see `rebuild`
-- @treturn ?{table,...} the results in the order of `items`
-- @treturn ?string code
-- @treturn ?string why nothing at all was changed
local function change(self, items, change_one, read)
  if self.unreadable then
    return nil, "failed", ("nothing is changed by hand for now: %s; repair or remove the file and send SIGHUP to the agent")
      :format(self.unreadable)
  end
  local kept, results, hint, is_changed = copy_of(self.kept), {}, new_hint(self), false
  for index, item in ipairs(items) do
    local result = change_one(kept, item, hint)
    results[index] = result
    is_changed = is_changed or not (result.error or result.outcome == "unchanged")
  end
  if not is_changed then return results end
  local saved, err = self.state:save_applications(kept)
  if not saved then return nil, "failed", ("the change cannot be kept and was not made: %s"):format(err) end
  self.kept = kept
  rebuild(self, read or {})
  self.on_change()
  return results
end

local function add_one(self, kept, app, document)
  local name, known = app.name, self.by_name[app.name]
  if known and known.origin == "configuration" then
    return refused(name, "conflict", ('application "%s" stands in the configuration (%s): change it there and send SIGHUP to'
      .. ' the agent'):format(name, self.path))
  end
  local before = kept.added[name]
  if before and self.json.encode(before) == self.json.encode(document) then return { name = name, outcome = "unchanged" } end
  kept.added[name] = document
  if not override_of(kept, app) then kept.status[name] = nil end
  return { name = name, outcome = before and "updated" or "created" }
end

--- Adds applications, or changes those that were added.
-- @tparam {table,...} list of {document, app}: decoded JSON, and what application.read_local made of it
-- @treturn ?{table,...} for each {name, outcome="created"|"updated"|"unchanged"} or {name, error={code, message}}
-- @treturn ?string code
-- @treturn ?string why nothing was added
function Locals:add(list)
  local read = {}
  for _, item in ipairs(list) do read[item.document] = item.app end
  return change(self, list, function(kept, item) return add_one(self, kept, item.app, item.document) end, read)
end

local function refuse_unknown(self, name, hint)
  if self.held[name] then
    return refused(name, "conflict", ('application "%s" cannot be used as it stands; "appmgr status" says why'):format(name))
  end
  return refused(name, "not_found", ('there is no local application "%s"%s'):format(name, hint(name)))
end

local function remove_one(self, kept, name, hint)
  local known = self.by_name[name]
  local is_configured = known ~= nil and known.origin == "configuration"
  if not kept.added[name] then
    if not is_configured then return refuse_unknown(self, name, hint) end
    return refused(name, "conflict", ('application "%s" stands in the configuration (%s): take it out there and send SIGHUP'
      .. ' to the agent, or stop it with "appmgr app disable %s"'):format(name, self.path, name))
  end
  kept.added[name] = nil
  if known and not is_configured then kept.status[name] = nil end
  return { name = name, outcome = "removed" }
end

--- Removes applications that were added.
-- @tparam {string,...} names
-- @treturn ?{table,...} for each {name, outcome="removed"} or {name, error={code, message}}
-- @treturn ?string code
-- @treturn ?string why nothing was removed
function Locals:remove(names)
  return change(self, names, function(kept, name, hint) return remove_one(self, kept, name, hint) end)
end

local function set_status_of_one(self, kept, name, status, hint)
  local known = self.by_name[name]
  if not known then return refuse_unknown(self, name, hint) end
  local document = known.document
  if (override_of(kept, document) or document.status) == status then return { name = name, outcome = "unchanged" } end
  kept.status[name] = document.status ~= status and { is = status, instead_of = document.status } or nil
  return { name = name, outcome = WORD[status] }
end

--- Enables or disables applications, whatever their documents say, until the other is said or the document's own
-- `status` becomes another one.
-- @tparam {string,...} names
-- @tparam integer status 1 or 0
-- @treturn ?{table,...} for each {name, outcome="enabled"|"disabled"|"unchanged"} or {name, error={code, message}}
-- @treturn ?string code
-- @treturn ?string why nothing was changed
function Locals:set_status(names, status)
  return change(self, names, function(kept, name, hint) return set_status_of_one(self, kept, name, status, hint) end)
end

--- Whether a name was added by hand, in use or not.
function Locals:is_added(name)
  return self.kept.added[name] ~= nil
end

return M
