--- What the specs in tests/vm have in common: the commands of a machine, and the applications that they look at.
local json = require("dkjson")
local loop = require("tests.lib.loop")
local process = require("tests.lib.process")

local M = {}

M.KEEPER_CGROUP = "/sys/fs/cgroup/system.slice/appmgr-keeper.service"
M.MARKS = "/var/lib/appmgr-vm/marks"
M.BOOT = "/var/lib/appmgr-vm/boot"

local PATIENCE_MS = 60000

--- Runs a line in a shell. Returns what it wrote, without the last line break, and its exit code.
function M.shell(line)
  local result = process.run({"sh", "-c", line .. " 2>&1"}, {timeout_ms = 4 * PATIENCE_MS})
  return (result.stdout:gsub("\n$", "")), result.code
end

--- The same, and it must succeed.
function M.must(line)
  local said, code = M.shell(line)
  assert(code == 0, line .. ": " .. said)
  return said
end

function M.wait_for(what, condition)
  return loop.wait_for(what, PATIENCE_MS, condition)
end

function M.unit(name, property)
  return M.must(("systemctl show -P %s %s"):format(property, name))
end

--- An application's row, or nil while the agent does not answer.
function M.app(name)
  local said, code = M.shell("appmgr app show --json " .. name)
  return code == 0 and json.decode(said) or nil
end

--- Waits until it runs. Returns its row.
function M.running(name)
  return M.wait_for(name .. " runs", function()
    local row = M.app(name)
    return row and row.state == "running" and row
  end)
end

function M.status()
  local said, code = M.shell("appmgr status --json")
  return code == 0 and json.decode(said) or nil
end

--- What a file of an application's cgroup says.
function M.in_cgroup(row, file)
  return (process.slurp(("%s/app-%s/%s"):format(M.status().containment.directory, row.id, file)):gsub("\n$", ""))
end

--- Writes down what an application wants to be known of it.
local function marking(text)
  return ("echo %s >>%s"):format(text, M.MARKS)
end

--- The configuration of the machine's agent.
function M.configure()
  M.must("mkdir -p /etc/appmgr")
  process.spit("/etc/appmgr/appmgr.json", json.encode({Applications = {
    {name = "web", command = "sleep 1000001", resource_limit = {memory_mb = 50, pids = 20, cpu_max_percent = 25}},
    {name = "daemon", command = "setsid sleep 1000002 & exec sleep 1000003"},
    {name = "polite", command = ("trap '%s; exit' TERM; %s; while :; do sleep 0.1; done"):format(marking("asked"), marking("begun"))},
  }}))
end

function M.find(text)
  return M.shell(("pgrep -fx '%s'"):format(text))
end

return M
