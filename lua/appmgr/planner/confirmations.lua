--- What operators have confirmed: `confirm/<id>` in Consul, {"subjects":{"web":"<intent>"},"at":unix s}.
--
-- An id that begins with "gone-" is about nodes (absence.lua); the others are about stops (brake.lua): who asks for them, a task or
-- "node:<host>" for a drain, and with which document. One counts for LIFE_S, and is deleted afterwards.
local M = {}

local Confirmations = {}
Confirmations.__index = Confirmations

--- How long a confirmation counts, in seconds.
M.LIFE_S = 600

--- @tparam table deps `json`
-- @treturn Confirmations
function M.new(deps)
  return setmetatable({ json = deps.json, by_id = {} }, Confirmations)
end

--- Takes all keys under `confirm/`.
-- @tparam {entry,...} entries see listing.read
function Confirmations:feed(entries)
  self.by_id = {}
  for _, entry in ipairs(entries) do
    local id = entry.key:match("^confirm/([^/]+)$")
    local document = id and entry.value and self.json.decode(entry.value)
    if id then
      local is_object = type(document) == "table"
      self.by_id[id] = {
        subjects = is_object and type(document.subjects) == "table" and document.subjects or {},
        at = is_object and math.type(document.at) and document.at or 0, index = entry.index,
      }
    end
  end
end

local function counts(known, now)
  return known.at + M.LIFE_S > now
end

--- Whether an id is confirmed.
-- @tparam string id
-- @tparam integer now unix s
-- @treturn boolean
function Confirmations:has(id, now)
  local known = self.by_id[id]
  return known ~= nil and counts(known, now)
end

--- Whether the stops that somebody asks for are confirmed, whatever the id.
-- @tparam string subject
-- @tparam string intent see `intent`
-- @tparam integer now unix s
-- @treturn boolean
function Confirmations:covers(subject, intent, now)
  for _, known in pairs(self.by_id) do
    if known.subjects[subject] == intent and counts(known, now) then return true end
  end
  return false
end

--- What counts no more.
-- @tparam integer now unix s
-- @treturn {table,...} `id`, `index`, sorted by id
function Confirmations:expired(now)
  local list = {}
  for id, known in pairs(self.by_id) do
    if not counts(known, now) then list[#list + 1] = { id = id, index = known.index } end
  end
  table.sort(list, function(a, b) return a.id < b.id end)
  return list
end

--- A confirmation was deleted by us.
function Confirmations:forget(id)
  self.by_id[id] = nil
end

return M
