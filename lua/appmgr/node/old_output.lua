--- The files of output of applications that this node no longer has: they stay for a week after their last line.
--
-- Nobody can ask for them by `appmgr app logs` any more, but who looks into why something was taken away
-- wants to read them. A file that is younger, or that belongs to an application there is, is never touched.
local M = {}

local OldOutput = {}
OldOutput.__index = OldOutput

local KEPT_S <const> = 7 * 86400
local LOOK_MS <const> = 3600 * 1000
--- The first look: by then the applications of an agent that was just started are known.
local FIRST_LOOK_MS <const> = 60 * 1000

--- @tparam table deps `file` (core.file), `timer`, `log`, `now` (unix seconds), `log_dir`, `names` (function: the set of
--   applications there are, nil while that is not known), `turns` (turns.lua, for this alone)
-- @treturn OldOutput that looks each hour
function M.new(deps)
  local self = setmetatable({
    file = deps.file, log = deps.log, now = deps.now, log_dir = deps.log_dir, names = deps.names, turns = deps.turns,
  }, OldOutput)
  self.first = deps.timer.after(FIRST_LOOK_MS, function() self:look() end)
  self.ticker = deps.timer.every(LOOK_MS, function() self:look() end)
  return self
end

--- Whose file it is: `web#2.log`, `web#2.log.1`, `web#2.log.1.index` are of `web#2`.
local function owner_of(name)
  local rest = name:gsub("%.index$", ""):gsub("%.%d+$", "")
  return rest:match("^(.+)%.log$")
end

local function look_at(self, name, known)
  local owner = owner_of(name)
  if not owner or known[owner] then return end
  local path = self.log_dir .. "/" .. name
  local stat = self.file.stat(path)
  if not stat or stat.type ~= "file" or self.now() - stat.mtime_s < KEPT_S then return end
  if self.file.remove(path) then self.log.info(("output of an application that left this node is removed: %s"):format(path)) end
end

--- Looks at all files, in turns.
function OldOutput:look()
  local known = self.names()
  local list = known and self.file.list(self.log_dir) or {}
  local index = 0
  self.turns:run(function()
    index = index + 1
    if list[index] then look_at(self, list[index], known) end
    return index < #list
  end, function() end)
end

--- Looks no more.
function OldOutput:stop()
  self.first:cancel()
  self.ticker:cancel()
  self.turns:cancel()
end

return M
