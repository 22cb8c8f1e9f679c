--- The configuration's policies: that which places, and its shadow. Read at the start, on a reload, and when their files change.
local configuration = require("appmgr.config")

local M = {}

local PolicySource = {}
PolicySource.__index = PolicySource

--- A file is written in several steps; installers write several files.
local SETTLE_MS <const> = 200
local KINDS <const> = { "policy", "shadow" }

--- @tparam table deps `file` (core.file), `file_watch` (core.file_watch), `timer`, `log`, `problems`, `share_dir`, `on_change`
--   (function(): a file changed, and what it holds can be read)
-- @treturn PolicySource
function M.new(deps)
  return setmetatable({ deps = deps, timer = deps.timer, log = deps.log, problems = deps.problems, watches = {} }, PolicySource)
end

local function load(self, block)
  return configuration.load_policies(block, self.deps.file, self.deps.share_dir)
end

local function is_other(a, b)
  return (a and a.source) ~= (b and b.source)
end

local function read_again(self)
  local fresh, err = load(self, self.block)
  if not fresh then
    return self.problems:set("policy/file", ("%s; what was read before stays in use"):format(err))
  end
  self.problems:clear("policy/file")
  local changed = false
  for _, kind in ipairs(KINDS) do
    if is_other(fresh[kind], self[kind]) then
      changed = true
      self.log.info(("policy file %s changed"):format(fresh[kind].path))
    end
    self[kind] = fresh[kind]
  end
  if changed then self.deps.on_change() end
end

local function stop_watching(self)
  for _, watch in ipairs(self.watches) do watch:close() end
  self.watches = {}
  if self.wait then self.wait:cancel() end
  self.wait = nil
end

local function watch_files(self)
  stop_watching(self)
  local function changed()
    if self.wait then self.wait:cancel() end
    self.wait = self.timer.after(SETTLE_MS, function()
      self.wait = nil
      read_again(self)
    end)
  end
  for _, kind in ipairs(KINDS) do
    if self[kind] then
      local watch, err = self.deps.file_watch.start(self[kind].path, changed)
      self.watches[#self.watches + 1] = watch
      if not watch then self.log.warn(("%s; send SIGHUP after a change of it"):format(err)) end
    end
  end
end

--- Reads what a `Policy` block of the configuration names; nothing of it is used yet.
-- @tparam table block
-- @treturn[1] function() brings it into force
-- @treturn[2] nil
-- @treturn[2] string why a policy of it cannot be read
function PolicySource:prepare(block)
  local fresh, err = load(self, block)
  if not fresh then return nil, err end
  return function()
    self.block, self.policy, self.shadow = block, fresh.policy, fresh.shadow
    self.problems:clear("policy/file")
    watch_files(self)
  end
end

--- Ends the watches.
function PolicySource:stop()
  stop_watching(self)
end

return M
