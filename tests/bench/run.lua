--- Runs the benchmarks and prints one table; nothing is asserted.
--
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua [start] [idle] [handover] [settle] [output]
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua peers [1000] [5000] [appmgr] [kernel] [supervisord] [runit] [s6]
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua placement
--     APPMGR_BUILD=build lua5.4 tests/bench/run.lua pacemaker
--
-- Each part has Consul, agents and folder of its own, and takes one to two minutes; `placement`, which needs no
-- agent, takes five, `peers` about 15, `pacemaker` three.
local harness = require("tests.lib.harness")
local process = require("tests.lib.process")
local statistics = require("tests.bench.statistics")

local PARTS = {"start", "idle", "handover", "settle", "output"}
local WIDE = {peers = true} -- a table of its own
local KNOWN = {start = true, idle = true, handover = true, settle = true, output = true, placement = true, peers = true,
  pacemaker = true}

local function machine()
  local cpu = process.slurp("/proc/cpuinfo")
  local memory = tonumber(process.slurp("/proc/meminfo"):match("MemTotal:%s*(%d+)"))
  return ("%d x %s, %d GiB, Linux %s"):format(select(2, cpu:gsub("processor%s*:", "")), cpu:match("model name%s*:%s*([^\n]+)"),
    memory // (1024 * 1024), process.slurp("/proc/sys/kernel/osrelease"):match("%S+"))
end

local function run(part, words)
  local test = harness.open()
  local ok, rows = xpcall(require("tests.bench." .. part), debug.traceback, test, words)
  test:end_all()
  if not ok then
    return {{part, "failed: " .. rows}}
  end
  return rows
end

-- Words that are no part's name belong to the part before them.
local function chosen()
  local list = {}
  for _, word in ipairs(arg) do
    if KNOWN[word] then
      list[#list + 1] = {name = word, words = {}}
    else
      table.insert(assert(list[#list], word .. " is none of the parts").words, word)
    end
  end
  for _, name in ipairs(#list == 0 and PARTS or {}) do
    list[#list + 1] = {name = name, words = {}}
  end
  return list
end

local rows = {{"measure", "median and spread", "aim"}}
for _, part in ipairs(chosen()) do
  io.stderr:write("measuring: ", part.name, "\n")
  local measured = run(part.name, part.words)
  if WIDE[part.name] then
    statistics.print(measured)
  else
    table.move(measured, 1, #measured, #rows + 1, rows)
  end
end
print(machine())
if #rows > 1 then
  statistics.print(rows)
end
require("tests.lib.loop").close_all()
