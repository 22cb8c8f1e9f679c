--- What is wrong at the moment, each thing told once.
--
-- A part that meets a problem sets it under a key of its own as often as it
-- likes; the log hears of it when it begins, when its text changes and when it
-- is over. `appmgr status` lists what is left.
local M = {}

local Problems = {}
Problems.__index = Problems

--- @tparam table deps `log` (core.log), `now` (function returning unix seconds)
-- @treturn Problems an empty list
function M.new(deps)
  return setmetatable({ log = deps.log, now = deps.now, by_key = {} }, Problems)
end

--- Begins a problem or changes its text.
-- @tparam string key who says it and of what, e.g. `assignment/web`
-- @tparam string text for people: the thing, the reason, the next step
-- @treturn boolean whether this was news
function Problems:set(key, text)
  local known = self.by_key[key]
  if known and known.text == text then return false end
  self.by_key[key] = { key = key, text = text, since = known and known.since or self.now() }
  self.log.warn(text)
  return true
end

--- Ends a problem; nothing happens when there was none.
-- @tparam string key
-- @treturn boolean whether there was one
function Problems:clear(key)
  local known = self.by_key[key]
  if not known then return false end
  self.by_key[key] = nil
  self.log.info("over: " .. known.text)
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
