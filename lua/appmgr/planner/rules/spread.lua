--- Spreading the replicas of a task over the values of labels: evenly, or by
-- target percentages.
--
-- What counts changes with each replica that is placed, so it is kept in a
-- tally: which values there are, and how many replicas each has.
local canonical = require("appmgr.planner.rules.canonical")

local M = {}

local Tally = {}
Tally.__index = Tally

local function new_part(spread)
  local part = { label = spread.label, targets = spread.targets or {}, counts = {}, others = 0, left = 100 }
  for _, percent in pairs(part.targets) do part.left = part.left - percent end
  return part
end

--- Notes that there is a node with these labels: values without a target share evenly what the targets leave.
-- @tparam table labels of the node
function Tally:see(labels)
  for _, part in ipairs(self) do
    local value = labels[part.label]
    if value and not part.counts[value] then
      part.counts[value] = 0
      if not part.targets[value] then part.others = part.others + 1 end
    end
  end
end

--- Counts replicas of the task on a node.
-- @tparam table labels of the node
-- @tparam integer count how many more; negative: fewer
function Tally:add(labels, count)
  self:see(labels)
  for _, part in ipairs(self) do
    local value = labels[part.label]
    if value then part.counts[value] = part.counts[value] + count end
  end
end

--- How much one label speaks for a value. It falls with each replica there and
-- is 0 where the share is reached; what has no share, and a node without the
-- label, gets -1.
local function score_of(part, value, total)
  if not value then return -1 end
  local percent = part.targets[value] or math.max(0, part.left) / math.max(1, part.others)
  local share = percent / 100 * total
  if share <= 0 then return -1 end
  local count = part.counts[value] or 0
  return (share - count) / (share + count)
end

--- How much speaks for one more replica on a node.
-- @tparam table labels of the node
-- @treturn number -1 to 1, the mean over the labels
function Tally:score(labels)
  local sum = 0
  for _, part in ipairs(self) do sum = sum + score_of(part, labels[part.label], self.total) end
  return sum / #self
end

local function key_of(spread)
  local parts = { spread.label }
  for _, value in ipairs(canonical.sorted_keys(spread.targets or {})) do
    parts[#parts + 1] = value
    parts[#parts + 1] = spread.targets[value]
  end
  return canonical.of(parts)
end

--- Prepares the spread of a task.
-- @tparam table task `spread`: {label, targets (value → percent) or nil}
-- @treturn ?table nil when there is none; else `key`, `labels` (names it looks at, in order of the document), and
--   `tally(total)` → Tally for `total` wanted replicas: `see` each node that may have the task, `add` each replica it has,
--   then `score` nodes
function M.compile(task)
  local list = task.spread or {}
  if #list == 0 then return nil end
  local labels, keys = {}, {}
  for position, spread in ipairs(list) do
    labels[position], keys[position] = spread.label, key_of(spread)
  end

  local function tally(total)
    local made = setmetatable({ total = total }, Tally)
    for position, spread in ipairs(list) do made[position] = new_part(spread) end
    return made
  end

  return { key = table.concat(keys, ";"), labels = labels, tally = tally }
end

return M
