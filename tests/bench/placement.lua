--- How fast the engine places: synthetic clusters, the engine driven directly, each measure in a process of its own (one
-- core, memory of its own) and five times.
local statistics = require("tests.bench.statistics")

local RUNS = 5

local function run_once(arguments)
  local command = ("%s/appmgr lua tests/bench/placement_run.lua %s"):format(os.getenv("APPMGR_BUILD") or "build", arguments)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  assert(pipe:close(), "failed: " .. command .. "\n" .. text)
  local result = {}
  for name, value in text:gmatch("(%w+)=(%S+)") do result[name] = tonumber(value) end
  return result
end

local function runs(arguments, count)
  local results = {}
  for number = 1, count or RUNS do results[number] = run_once(arguments) end
  return results
end

local function median(results, name)
  local values = {}
  for position, result in ipairs(results) do values[position] = result[name] end
  return statistics.median(values), values
end

local function rate_row(title, arguments, aim)
  local results = runs(arguments)
  local rate = median(results, "rate")
  local row = ("%.0f a second, %.2f s with the check, %.0f MB"):format(rate, median(results, "seconds"), median(results, "peak"))
  return { title, row, aim }
end

local function settled_rows(title, arguments, aim)
  local results, rows = runs(arguments), {}
  for _, case in ipairs({ { "lost", "one node lost" }, { "changed", "one task changed" } }) do
    local time, values = median(results, case[1])
    local others = median(results, case[1] .. "Others")
    rows[#rows + 1] = {
      title .. ": " .. case[2],
      ("%.1f ms (most %.1f), %d others move"):format(time, statistics.percentile(values, 1), others), aim,
    }
  end
  return rows
end

local function growth_row(nodes)
  local results = runs(("spread %d %d 10"):format(nodes, nodes * 2), 3)
  local each = ("%.2f us each"):format(1e6 / median(results, "rate"))
  return { ("placing 20 a node on %d nodes"):format(nodes), each, "grows as log n at most" }
end

local function packing_row()
  local results = runs("binpack 2000 400 20 mixed", 1)
  local used, best = results[1].used, results[1].best
  local text = ("%d, best-fit-decreasing %d (%+.1f %%)"):format(used, best, (used / best - 1) * 100)
  return { "nodes that binpack uses for mixed sizes", text, "within 5 %" }
end

return function()
  local rows = {
    rate_row("spread, 1,000 tasks x 100 on 5,000 nodes", "spread 5000 1000 100", ">= 150,000 a second"),
    rate_row("binpack, the same", "binpack 5000 1000 100", ">= 150,000 a second"),
    rate_row("a Lua score of one's own, the same", "custom 5000 1000 100", ">= 30,000 a second"),
    rate_row("spread, 10,000 tasks x 10 on 5,000 nodes", "spread 5000 10000 10", ">= 100,000 a second"),
    rate_row("zone_spread, the same", "zone_spread 5000 10000 10", "none"),
    rate_row("a score that tells every node apart, 10,000 tasks x 1 on 5,000", "every 5000 10000 1", ">= 20,000 a second"),
    rate_row("spread, 10,000 tasks x 100 on 10,000 nodes", "spread 10000 10000 100", "< 10 s, < 1,500 MB"),
    packing_row(),
  }
  for _, policy in ipairs({ "spread", "binpack" }) do
    table.move(settled_rows(policy .. ", 100,000 settled on 5,000", policy .. " 5000 1000 100", "<= 50 ms"), 1, 2, #rows + 1, rows)
  end
  for _, nodes in ipairs({ 10, 100, 1000, 10000 }) do rows[#rows + 1] = growth_row(nodes) end
  return rows
end
