--- The planner beside Pacemaker's, `crm_simulate`, planning only: the same nodes and resources with cpu and memory, to be spread
-- by load (placement-strategy=balanced; policy least_loaded). Seconds of the processor.
--
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua pacemaker
--
-- Both are measured whole: the process from its start to its end, documents read and the answer made. Of the planner the
-- decision with its check is told, too: its process goes on living, and reads what changed.
local Agent = require("tests.lib.agent")
local instance = require("tests.bench.pacemaker_instance")
local process = require("tests.lib.process")
local statistics = require("tests.bench.statistics")

local NODES, RUNS = 100, 3

local function utilization(id, item)
  return ('<utilization id="u-%s"><nvpair id="c-%s" name="cpu" value="%d"/><nvpair id="m-%s" name="memory" value="%d"/></utilization>')
    :format(id, id, item.cpu, id, item.memory_mb)
end

-- Without startup probes, each of which would be an action for every resource on every node.
local OPTIONS = [[
<cluster_property_set id="options"><nvpair id="o1" name="placement-strategy" value="balanced"/>
<nvpair id="o2" name="stonith-enabled" value="false"/><nvpair id="o3" name="enable-startup-probes" value="false"/>
</cluster_property_set>]]

local function cluster_information_base(tasks)
  local nodes, states, resources = {}, {}, {}
  for number, node in ipairs(instance.nodes(NODES)) do
    nodes[number] = ('<node id="%d" uname="%s">%s</node>'):format(number, node.name, utilization(node.name, node))
    states[number] = ('<node_state id="%d" uname="%s" in_ccm="true" crmd="online" join="member" expected="member"/>')
      :format(number, node.name)
  end
  for number, task in ipairs(instance.tasks(tasks)) do
    resources[number] = ('<primitive id="%s" class="ocf" provider="pacemaker" type="Dummy">%s</primitive>')
      :format(task.name, utilization(task.name, task))
  end
  return ('<cib admin_epoch="0" epoch="1" num_updates="0" validate-with="pacemaker-3.0" have-quorum="1"><configuration>'
    .. "<crm_config>%s</crm_config><nodes>%s</nodes><resources>%s</resources><constraints/></configuration><status>%s</status></cib>\n")
    :format(OPTIONS, table.concat(nodes), table.concat(resources), table.concat(states))
end

-- Runs a program and returns what it printed and the seconds of the processor that it took.
local function timed(argv, env)
  local result = process.run({"bash", "-c", 'TIMEFORMAT="cpu %U %S"; time "$@"', "bash", table.unpack(argv)},
    {env = env, timeout_ms = 300000})
  assert(result.code == 0, result.stderr)
  local user, system = result.stderr:match("cpu ([%d.]+) ([%d.]+)")
  return result.stdout, tonumber(user) + tonumber(system)
end

local function peers_folder()
  local result = process.run({"tests/bench/peers.sh"}, {timeout_ms = 120000})
  assert(result.code == 0, result.stderr)
  return result.stdout:match("%S+")
end

local function pacemaker(test, folder, tasks)
  local path = ("%s/%d.xml"):format(test.dir, tasks)
  process.spit(path, cluster_information_base(tasks))
  local out, seconds = timed({folder .. "/usr/sbin/crm_simulate", "-R", "-x", path}, {
    LD_LIBRARY_PATH = folder .. "/usr/lib/x86_64-linux-gnu:" .. folder .. "/usr/lib",
    PCMK_schema_directory = folder .. "/usr/share/pacemaker", CIB_shadow_dir = test.dir,
  })
  local placed = select(2, out:gsub("%* Start ", ""))
  assert(placed == tasks, ("crm_simulate placed %d of %d"):format(placed, tasks))
  return seconds
end

local function planner(tasks)
  local out, seconds = timed({Agent.binary(), "lua", "tests/bench/pacemaker_run.lua", tostring(NODES), tostring(tasks)})
  assert(tonumber(out:match("placed=(%d+)")) == tasks, out)
  return seconds, tonumber(out:match("deciding=([%d.]+)"))
end

-- One after the other, so that what else the machine does meets both.
local function row(test, folder, tasks)
  local theirs, whole, deciding = {}, {}, {}
  for run = 1, RUNS do
    theirs[run] = pacemaker(test, folder, tasks)
    whole[run], deciding[run] = planner(tasks)
  end
  local slow, ours, decision = statistics.median(theirs), statistics.median(whole), statistics.median(deciding)
  return {
    ("%d resources on %d nodes planned, CPU s: crm_simulate / appmgr (of that the decision)"):format(tasks, NODES),
    ("%.2f / %.3f (%.3f): %.0f times (%.0f)"):format(slow, ours, decision, slow / ours, slow / decision), "100 times",
  }
end

return function(test)
  local folder = peers_folder()
  return {row(test, folder, 1000), row(test, folder, 2000)}
end
