--- The field `output` of an application: how what it writes is kept.
local fields = require("appmgr.fields")

local M = {}

local MIB <const> = 1024 * 1024

local DEFAULTS = { max_mb = 10, files = 5, on_full_disk = "drop" }

local ON_FULL_DISK = { drop = true, block = true }

local SCHEMA = {
  fields = {
    max_mb = fields.number(0.001, 1048576),
    files = fields.integer(1, 100),
    on_full_disk = function(value)
      if ON_FULL_DISK[value] then return value end
      return nil, 'must be "drop" (what cannot be written is counted) or "block" (the application waits)'
    end,
  },
}

--- Reads the field.
-- @param value decoded JSON
-- @tparam fields.Findings findings
-- @treturn ?table as written
-- @treturn ?string why not
function M.read(value, findings)
  if not fields.is_object(value) then return nil, "must be an object" end
  local output, found = fields.read(value, SCHEMA)
  fields.merge(findings, found, "output.")
  return output
end

--- What a document comes to that may not have the field.
-- @tparam ?table output from `read`
-- @treturn table `max_bytes`, `files`, `waits`
function M.terms(output)
  local function value(name)
    return output and output[name] or DEFAULTS[name]
  end
  return { max_bytes = math.floor(value("max_mb") * MIB), files = value("files"), waits = value("on_full_disk") == "block" }
end

return M
