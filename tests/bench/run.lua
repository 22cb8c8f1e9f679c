--- Runs the benchmarks and prints one table; nothing is asserted.
--
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua [start] [idle] [handover] [settle]
--
-- Each part has Consul, agents and folder of its own, and takes one to two minutes.
local harness = require("tests.lib.harness")
local process = require("tests.lib.process")
local statistics = require("tests.bench.statistics")

local PARTS = {"start", "idle", "handover", "settle"}

local function machine()
  local cpu = process.slurp("/proc/cpuinfo")
  local memory = tonumber(process.slurp("/proc/meminfo"):match("MemTotal:%s*(%d+)"))
  return ("%d x %s, %d GiB, Linux %s"):format(select(2, cpu:gsub("processor%s*:", "")), cpu:match("model name%s*:%s*([^\n]+)"),
    memory // (1024 * 1024), process.slurp("/proc/sys/kernel/osrelease"):match("%S+"))
end

local function run(part)
  local test = harness.open()
  local ok, rows = xpcall(require("tests.bench." .. part), debug.traceback, test)
  test:end_all()
  if not ok then
    return {{part, "failed: " .. rows}}
  end
  return rows
end

local rows = {{"measure", "median and spread", "aim"}}
for _, part in ipairs(#arg > 0 and arg or PARTS) do
  io.stderr:write("measuring: ", part, "\n")
  for _, row in ipairs(run(part)) do
    rows[#rows + 1] = row
  end
end
print(machine())
statistics.print(rows)
require("tests.lib.loop").close_all()
