--- The cluster that `appmgr snapshot` wrote, as documents: to try policies on.
local assignment = require("appmgr.assignment")
local json = require("appmgr.json")
local listing = require("appmgr.planner.listing")

local M = {}

local VERSION <const> = 1

local PLACE <const> = { task = "tasks", live = "nodes", node = "intents", assignment = "assignments" }

-- What cannot be read takes part in nothing.
local function take(cluster, entries)
  for _, entry in ipairs(entries) do
    local folder, name = entry.key:match("^(%a+)/([^/]+)$")
    local place, document = PLACE[folder], entry.value and json.decode(entry.value)
    if folder == "assignment" then document = assignment.parse(entry.value, json) end
    if place and type(document) == "table" then cluster[place][name] = document end
  end
end

--- Reads a decoded snapshot.
-- @tparam table document
-- @tparam table codec core.codec
-- @treturn[1] table `nodes`, `intents`, `tasks`: documents by name; `assignments`: replicas by host; `is_real`
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.cluster(document, codec)
  if type(document) ~= "table" or document.snapshot ~= VERSION or type(document.feeds) ~= "table" then
    return nil, ("this is no snapshot of version %d; \"appmgr snapshot\" writes one"):format(VERSION)
  end
  local cluster = { nodes = {}, intents = {}, tasks = {}, assignments = {}, is_real = true }
  local deps = { json = json, codec = codec, prefix = tostring(document.prefix):gsub("/*$", "") .. "/" }
  local READ <const> = { task = listing.read, live = listing.read, node = listing.read, audit = listing.read_transaction }
  for _, feed in ipairs(document.feeds) do
    local read = feed.status == 200 and READ[feed.topic]
    if read then
      local entries, reason = read(feed.body, deps)
      if not entries then return nil, ("the snapshot's %s: %s"):format(feed.topic, reason) end
      take(cluster, entries)
    end
  end
  return cluster
end

return M
