--- `appmgr nodes`: the nodes that are there.

local cluster_report = require("appmgr.cli.cluster_report")
local grid = require("appmgr.cli.grid")

local TEXT = [[
appmgr nodes
List the nodes of the cluster that are there: what they have, what they run, how they are meant.

Any agent can be asked, leader or not. CPU (in cores), MEMORY and OTHER show what tasks have asked for
of what the node has for them.

  --json           for programs]]

local HEADER <const> = {
  "NODE", "STATE", ">REPLICAS", ">RUNNING", ">LOCAL", ">CPU", ">MEMORY", "OTHER", "LABELS", "AGENT",
}
local MIB <const> = 1024 * 1024

--- How a node that is being drained is to be drained.
local function drain_of(node)
  local words = { "draining" }
  if node.wait_for_room then words[#words + 1] = "waiting for room" end
  if node.drain_deadline then words[#words + 1] = "until " .. os.date("%Y-%m-%d %H:%M:%S", node.drain_deadline) end
  return table.concat(words, ", ")
end

local function state_of(node, leader)
  if node.grace_until then return "gone, grace until " .. os.date("%Y-%m-%d %H:%M:%S", node.grace_until) end
  if node.gone_since then return "gone" end
  if node.stranger then return "other cluster" end
  if node.error then return "error" end
  if node.drain then return drain_of(node) end
  if not node.eligible then return "not eligible" end
  return node.name == leader and "leader" or "ready"
end

local function labels_of(node)
  local list = {}
  for name, value in pairs(node.labels) do list[#list + 1] = name .. "=" .. value end
  table.sort(list)
  return table.concat(list, " ")
end

--- Millicores as cores: "4", "0.5".
local function cores(millicores) return ("%g"):format(millicores / 1000) end

local function megabytes(amount)
  if amount == 0 then return "0" end
  return amount < 0 and "-" .. grid.size(-amount * MIB) or grid.size(amount * MIB)
end

--- "0.5/4": what tasks have asked for of what there is.
local function share(room, text)
  return room and text(room.used) .. "/" .. text(room.available)
end

--- What a node has beside processors and memory: "gpu 1/2".
local function others(node)
  local list = {}
  for name, room in pairs(node.room) do
    if name ~= "cpu" and name ~= "memory_mb" then list[#list + 1] = name .. " " .. share(room, tostring) end
  end
  table.sort(list)
  return #list > 0 and table.concat(list, " ") or nil
end

local function row(node, leader)
  return {
    node.name, state_of(node, leader), node.replicas, node.running, #node.local_applications,
    share(node.room.cpu, cores), share(node.room.memory_mb, megabytes), others(node), labels_of(node), node.version,
  }
end

local function format(report)
  if #report.nodes == 0 then return "no node has joined the cluster" end
  local rows, below = {}, {}
  for i, node in ipairs(report.nodes) do
    rows[i] = row(node, report.leader)
    if node.error then below[#below + 1] = ('node "%s": %s'):format(node.name, node.error) end
  end
  local text = grid.format(HEADER, rows)
  if #below > 0 then text = text .. "\n\n" .. table.concat(below, "\n") end
  return text
end

local function run(context, arguments)
  local report, err = cluster_report.read(context)
  if not report then return context:fail(err) end
  if arguments.json then
    context:print_json({ leader = report.leader or nil, nodes = report.nodes, problems = report.problems })
    return 0
  end
  context:print(format(report))
  context:print(cluster_report.footer(report))
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
