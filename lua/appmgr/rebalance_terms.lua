--- By which terms replicas are moved for balance: `Policy.rebalance` of the configuration, `--rebalance` of a simulation.
local fields = require("appmgr.fields")
local json = require("appmgr.json")

local M = {}

--- What may be said.
M.SCHEMA = {
  fields = {
    max_moves = fields.integer(1, 1000),
    interval_seconds = fields.integer(1, 86400),
    margin = fields.number(0, 1000),
  },
}

--- What holds where nothing is said of it.
M.DEFAULTS = { max_moves = 1, interval_seconds = 60, margin = 0.1 }

--- Reads terms that are given on a command line.
-- @tparam string text JSON, an object
-- @treturn[1] table `max_moves`, `interval_seconds`, `margin`
-- @treturn[2] nil
-- @treturn[2] string what is wrong
function M.parse(text)
  local document, reason = json.decode(text)
  if not fields.is_object(document) or json.is_array(document) then
    return nil, ("no JSON object, such as {\"max_moves\": 2}: %s"):format(reason or "it is " .. text)
  end
  local terms, findings = fields.read(document, M.SCHEMA)
  local errors = fields.strict(findings)
  if #errors > 0 then return nil, table.concat(errors, "; ") end
  for name, default in pairs(M.DEFAULTS) do terms[name] = terms[name] or default end
  return terms
end

return M
