--- Texts that are equal exactly where what they stand for is equal, whatever
-- bytes it is made of.
local M = {}

--- @tparam {string|number,...} parts
-- @treturn string
function M.of(parts)
  local list = {}
  for position, part in ipairs(parts) do
    local text = tostring(part)
    list[position] = #text .. ":" .. text
  end
  return table.concat(list, ",")
end

--- The keys of a table in order.
-- @tparam table map keys of one type
-- @treturn table array
function M.sorted_keys(map)
  local keys = {}
  for key in pairs(map) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

return M
