--- A store with the calls that control handlers make of Consul's client. `interfere` runs before each write.
local M = {}

--- @tparam table values texts by key
-- @treturn table `values` (entries by key), `writes` (how many), and to be set: `broken`, `interfere` (function(key))
function M.new(values)
  local kept = { values = {}, writes = 0 }
  for key, value in pairs(values) do kept.values[key] = { key = key, value = value, modify_index = 5 } end
  function kept.entries(body) return body end
  function kept.keys(body) return body end
  function kept.get(_, key, options, callback)
    if kept.broken then return callback(nil, { kind = "transport", message = "connection refused" }) end
    if options.keys then
      local keys = {}
      for known in pairs(kept.values) do keys[#keys + 1] = known end
      table.sort(keys)
      return callback({ status = 200, body = keys })
    end
    local entry = kept.values[key]
    if not entry then return callback({ status = 404, body = "" }) end
    callback({ status = 200, body = { entry } })
  end
  local function write(key, index, value, callback)
    if kept.interfere then kept.interfere(key) end
    local entry = kept.values[key]
    local known = entry and entry.modify_index or 0
    if index and known ~= index then return callback(false) end
    kept.writes = kept.writes + 1
    kept.values[key] = value and { key = key, value = value, modify_index = known + 1 } or nil
    callback(true)
  end
  function kept.put(_, key, value, options, callback) write(key, options.cas, value, callback) end
  function kept.delete(_, key, options, callback) write(key, options.cas, nil, callback) end
  return kept
end

return M
