--- What is wrong at the moment, each thing told once.
--
-- A part that meets a problem sets it under a key of its own as often as it
-- likes; the log hears of it when it begins, when its text changes and when it
-- is over. One that comes and goes is told as such, once. `appmgr status` lists
-- what is left.
local M = {}

--- How long a problem stays away before it counts as a new one.
local FLAPPING_S = 60

local Problems = {}
Problems.__index = Problems

--- @tparam table deps `log` (core.log), `now` (function returning unix seconds)
-- @treturn Problems an empty list
function M.new(deps)
  return setmetatable({ log = deps.log, now = deps.now, by_key = {}, ended = {} }, Problems)
end

--- Forgets what has stayed away; of what came and went, this is its end.
local function forget_ended(self)
  local now = self.now()
  for key, ended in pairs(self.ended) do
    local away_s = now - ended.at
    if away_s < 0 or away_s >= FLAPPING_S then
      self.ended[key] = nil
      if ended.flapping then self.log.info("over: " .. ended.text) end
    end
  end
end

--- Begins a problem or changes its text.
-- @tparam string key who says it and of what, e.g. `assignment/web`
-- @tparam string text for people: the thing, the reason, the next step
-- @treturn boolean whether this was news
function Problems:set(key, text)
  local known = self.by_key[key]
  if known and known.text == text then return false end
  forget_ended(self)
  local ended = self.ended[key]
  local returned = not known and ended and ended.text == text
  self.ended[key] = nil
  self.by_key[key] = { key = key, text = text, since = known and known.since or self.now(), flapping = returned }
  if not returned then
    self.log.warn(text)
  elseif not ended.flapping then
    self.log.warn(text .. " (it comes and goes; not every change is logged)")
  end
  return true
end

--- Ends a problem; nothing happens when there was none.
-- @tparam string key
-- @treturn boolean whether there was one
function Problems:clear(key)
  local known = self.by_key[key]
  forget_ended(self)
  if not known then return false end
  self.by_key[key] = nil
  self.ended[key] = { text = known.text, at = self.now(), flapping = known.flapping }
  if not known.flapping then self.log.info("over: " .. known.text) end
  return true
end

--- Ends all problems under a prefix, except those that are to stay.
-- @tparam string prefix
-- @tparam[opt] table keep set of whole keys that are left as they are
function Problems:clear_prefix(prefix, keep)
  local over = {}
  for key in pairs(self.by_key) do
    if key:sub(1, #prefix) == prefix and not (keep and keep[key]) then over[#over + 1] = key end
  end
  table.sort(over)
  for _, key in ipairs(over) do self:clear(key) end
end

--- @treturn table array of {key, text, since (unix seconds)}, oldest first
function Problems:list()
  local list = {}
  for _, problem in pairs(self.by_key) do
    list[#list + 1] = { key = problem.key, text = problem.text, since = problem.since }
  end
  table.sort(list, function(a, b)
    if a.since ~= b.since then return a.since < b.since end
    return a.key < b.key
  end)
  return list
end

return M
