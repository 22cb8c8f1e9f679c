--- What a node remembers, kept in a table; stands in for appmgr.node.state.

local json = require("spec.support.core").json

local M = {}

--- @tparam[opt] table fields cluster, session, incarnation…
-- @treturn table with get, set, load_assignment, save_assignment, load_tasks, save_tasks, load_runs,
--   save_runs (a copy, as a file would be)
function M.new(fields)
  local state = { fields = fields or {} }

  function state:get(name) return self.fields[name] end

  function state:set(name, value)
    self.fields[name] = value
    return true
  end

  function state:load_assignment() return self.assignment end

  function state:save_assignment(replicas, versions)
    self.assignment = { replicas = replicas, versions = versions }
    return true
  end

  function state:load_tasks() return self.tasks end

  function state:save_tasks(listing)
    self.tasks = { listing = listing, at = 1 }
    return true
  end

  function state:load_runs() return self.runs and json.decode(self.runs) end

  function state:save_runs(runs)
    self.runs = json.encode(runs)
    return true
  end

  return state
end

return M
