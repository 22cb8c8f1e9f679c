--- The file that `appmgr snapshot` writes: a cluster's documents as they stand in Consul, to try policies on.
--
--   {"snapshot": 1, "cluster": id, "at": unix s, "nodes": {host: live document}, "intents": {host: node document},
--    "tasks": {name: task document}, "assignments": {host: {"replicas": …}}}
local assignment = require("appmgr.assignment")
local json = require("appmgr.json")

local M = {}

M.VERSION = 1

local FOLDERS <const> = { "nodes", "intents", "tasks", "assignments" }

-- A document that cannot be read was kept as its text; it takes part in nothing.
local function readable(documents)
  local result = {}
  for name, document in pairs(documents) do
    if type(document) == "table" then result[name] = document end
  end
  return result
end

--- Reads a decoded snapshot.
-- @tparam table document
-- @treturn[1] table `nodes`, `intents`, `tasks`: documents by name; `assignments`: replicas by host
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.cluster(document)
  if type(document) ~= "table" or document.snapshot ~= M.VERSION then
    return nil, ("this is no snapshot of version %d; \"appmgr snapshot\" writes one"):format(M.VERSION)
  end
  local cluster = {}
  for _, folder in ipairs(FOLDERS) do
    if type(document[folder]) ~= "table" then return nil, ("the snapshot lacks \"%s\""):format(folder) end
    cluster[folder] = readable(document[folder])
  end
  for host, each in pairs(cluster.assignments) do
    local replicas, reason = assignment.parse(json.encode(each), json)
    if not replicas then return nil, ("the snapshot's assignment of %s: %s"):format(host, reason) end
    cluster.assignments[host] = replicas
  end
  return cluster
end

return M
