--- The planner's side of the comparison with Pacemaker's (pacemaker.lua): documents in, a checked decision out. Prints name=value.
--
--     build/appmgr lua tests/bench/pacemaker_run.lua NODES TASKS
package.path = "./lua/?.lua;./?.lua;" .. package.path

local Arena = require("appmgr.workbench.arena")
local Policy = require("appmgr.planner.policy")
local codec = require("core.codec")
local garbage = require("appmgr.planner.garbage")
local instance = require("tests.bench.pacemaker_instance")
local json = require("appmgr.json")
local sandbox = require("core.sandbox")

local file = assert(io.open("policies/least_loaded.lua"))
local policy = assert(Policy.load({ sandbox = sandbox }, { name = "least_loaded", hash = "bench", text = file:read("a") }))
file:close()

local arena = Arena.new({ json = json, codec = codec, clock = os.clock }, policy)
for _, node in ipairs(instance.nodes(tonumber(arg[1]))) do
  arena:put_node(node.name, { labels = {}, capacity = { cpu = node.cpu, memory_mb = node.memory_mb } })
end
for _, task in ipairs(instance.tasks(tonumber(arg[2]))) do
  local resources = { cpu = task.cpu, memory_mb = task.memory_mb }
  assert(#arena:put_task(task.name, { content = { command = "sleep 1" }, replication = 1, resources = resources }) == 0)
end
-- As in the planner's process.
garbage.pace()
local result = arena:step()
assert(result.outcome == "ok" and not result.violation, result.violation or result.outcome_message)
print(("placed=%d\ndeciding=%f\nwhole=%f"):format(arena.started, arena.seconds, os.clock()))
