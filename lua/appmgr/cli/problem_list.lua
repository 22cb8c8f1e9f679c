--- Problems as `appmgr status` shows them: those that Consul's silence has caused stand together below it.
local M = {}

--- Takes apart what says that something failed because of Consul: "WHAT: Consul at A …; Consul at B …; EFFECT".
-- @treturn ?string cause; nil when it is another problem
-- @treturn ?string what failed, and what follows from it
local function split(text)
  local what, rest = text:match("^(.-): (Consul at .*)$")
  if not what then return nil end
  local causes, effects = {}, { what }
  for part in (rest .. "; "):gmatch("(.-); ") do
    local is_cause = #effects == 1 and part:find("^Consul at ")
    table.insert(is_cause and causes or effects, part)
  end
  return table.concat(causes, "; "), table.concat(effects, "; ")
end

--- @tparam {table,...} problems each `text` and `since`, the oldest first
-- @treturn {table,...} each `text`, `since` and `effects`, texts of what it has caused; none for most
function M.grouped(problems)
  local groups, by_cause = {}, {}
  for _, problem in ipairs(problems) do
    local cause, effect = split(problem.text)
    local group = cause and by_cause[cause]
    if not group then
      group = { text = problem.text, since = problem.since, effects = {} }
      groups[#groups + 1] = group
      if cause then by_cause[cause], group.first = group, effect end
    else
      if #group.effects == 0 then group.text, group.effects[1] = cause, group.first end
      table.insert(group.effects, effect)
    end
  end
  return groups
end

return M
