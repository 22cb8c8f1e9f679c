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
local function override_of(self, app)
  local override = self.kept.status[app.name]
  return override and override.instead_of == app.status and override.is or nil
end

local function take(self, app, origin)
  local status = override_of(self, app)
  if not status then self.kept.status[app.name] = nil end
  self.by_name[app.name] = { origin = origin, document = app }
  self.current[#self.current + 1] = status and with_status(app, status) or app
end

local function take_added(self, name, told)
  local key = KEY .. name
  if self.by_name[name] then
    told[key] = true
    return self.problems:set(key, ('application "%s" was added by hand and stands in the configuration (%s) too: the one of'
      .. ' the configuration is used; "appmgr app rm %s" removes the other'):format(name, self.path, name))
  end
  local app, errors = application.read_local(self.kept.added[name])
  if app and app.name == name then return take(self, app, "added") end
  told[key], self.held[name] = true, true
  self.problems:set(key, ('application "%s", which was added by hand, cannot be used: %s; add it again or remove it with'
    .. ' "appmgr app rm %s"'):format(name, errors and table.concat(errors, "; ") or "another name stands in it", name))
end

--- Works out what is wanted; overrides that hold no more are dropped.
local function rebuild(self)
  self.current, self.by_name, self.held = {}, {}, {}
  for _, app in ipairs(self.configured) do take(self, app, "configuration") end
  local names, told = {}, {}
  for name in pairs(self.kept.added) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do take_added(self, name, told) end
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
  rebuild(self)
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

--- What `change` gives, unless nobody knows what the change would be made to.
local function when_known(self, change)
  if not self.unreadable then return change() end
  return nil, "failed", ("nothing is changed by hand for now: %s; repair or remove the file and send SIGHUP to the agent")
    :format(self.unreadable)
end

local function copy_of(kept)
  local copy = { added = {}, status = {} }
  for name, document in pairs(kept.added) do copy.added[name] = document end
  for name, override in pairs(kept.status) do copy.status[name] = override end
  return copy
end

--- Keeps a change and brings it into force.
-- @treturn ?table the result
local function commit(self, kept, result)
  local saved, err = self.state:save_applications(kept)
  if not saved then return nil, "failed", ("the change cannot be kept and was not made: %s"):format(err) end
  self.kept = kept
  rebuild(self)
  self.on_change()
  return result
end

local function add(self, app, document)
  local name, known = app.name, self.by_name[app.name]
  if known and known.origin == "configuration" then
    return nil, "conflict", ('application "%s" stands in the configuration (%s): change it there and send SIGHUP to the agent')
      :format(name, self.path)
  end
  local before = self.kept.added[name]
  if before and self.json.encode(before) == self.json.encode(document) then return { name = name, outcome = "unchanged" } end
  local kept = copy_of(self.kept)
  kept.added[name] = document
  if not override_of(self, app) then kept.status[name] = nil end
  return commit(self, kept, { name = name, outcome = before and "updated" or "created" })
end

--- Adds an application, or changes one that was added.
-- @param document decoded JSON
-- @treturn ?table {name, outcome="created"|"updated"|"unchanged"}
-- @treturn ?string code
-- @treturn ?string why it was refused
function Locals:add(document)
  local app, errors = application.read_local(document)
  if not app then return nil, "bad_request", table.concat(errors, "; ") end
  return when_known(self, function() return add(self, app, document) end)
end

local function refuse_unknown(self, name)
  if self.held[name] then
    return nil, "conflict", ('application "%s" cannot be used as it stands; "appmgr status" says why'):format(name)
  end
  local known = {}
  for each in pairs(self.by_name) do known[#known + 1] = each end
  local near = suggest.nearest(name, known)
  local hint = near and ('; did you mean "%s"?'):format(near) or '; "appmgr app ls" lists those there are'
  return nil, "not_found", ('there is no local application "%s"%s'):format(name, hint)
end

local function remove(self, name)
  local known = self.by_name[name]
  if not self.kept.added[name] then
    if not known then return refuse_unknown(self, name) end
    return nil, "conflict", ('application "%s" stands in the configuration (%s): take it out there and send SIGHUP to the'
      .. ' agent, or stop it with "appmgr app disable %s"'):format(name, self.path, name)
  end
  local kept = copy_of(self.kept)
  kept.added[name] = nil
  if known and known.origin == "added" then kept.status[name] = nil end
  return commit(self, kept, { name = name, outcome = "removed" })
end

--- Removes an application that was added.
-- @tparam string name
-- @treturn ?table {name, outcome="removed"}
-- @treturn ?string code
-- @treturn ?string why it was refused
function Locals:remove(name)
  return when_known(self, function() return remove(self, name) end)
end

local function set_status(self, name, status)
  local known = self.by_name[name]
  if not known then return refuse_unknown(self, name) end
  local document = known.document
  if (override_of(self, document) or document.status) == status then return { name = name, outcome = "unchanged" } end
  local kept = copy_of(self.kept)
  kept.status[name] = document.status ~= status and { is = status, instead_of = document.status } or nil
  return commit(self, kept, { name = name, outcome = WORD[status] })
end

--- Enables or disables an application, whatever its document says, until the other is said or the document's
-- own `status` becomes another one.
-- @tparam string name
-- @tparam integer status 1 or 0
-- @treturn ?table {name, outcome="enabled"|"disabled"|"unchanged"}
-- @treturn ?string code
-- @treturn ?string why it was refused
function Locals:set_status(name, status)
  return when_known(self, function() return set_status(self, name, status) end)
end

--- Whether a name was added by hand, in use or not.
function Locals:is_added(name)
  return self.kept.added[name] ~= nil
end

return M
