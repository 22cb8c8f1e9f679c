--- `appmgr app show`: everything the agent tells of one application.

local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")
local resource_limit = require("appmgr.resource_limit")

local TEXT = [[
appmgr app show NAME
Show one application of this node.

  --json           the fields of the status key, for programs]]

--- What people look for first; all other fields follow by name.
local ORDER <const> = {
  "name", "task", "slot", "version", "state", "health", "error", "pid", "memory", "cpu", "restarts", "return",
  "last_start_time", "next_start_time", "command", "user", "working_dir", "env", "resource_limit",
}

local function describe(row, field, value)
  if field == "memory" then return ("%s (%d bytes)"):format(grid.size(value), value) end
  if field == "cpu" then return ("%.1f %% of one processor"):format(value) end
  if field == "resource_limit" then return resource_limit.describe(value, row.limits_enforced) end
  if type(value) == "table" then return json.encode(value) end
  return tostring(value)
end

local function format(row)
  local lines, seen, rest = {}, { limits_enforced = true }, {} -- how limits are kept stands beside them
  for _, field in ipairs(ORDER) do
    if row[field] ~= nil then lines[#lines + 1] = { field, describe(row, field, row[field]) } end
    seen[field] = true
  end
  for field in pairs(row) do
    if not seen[field] then rest[#rest + 1] = field end
  end
  table.sort(rest)
  for _, field in ipairs(rest) do lines[#lines + 1] = { field, describe(row, field, row[field]) } end
  return grid.list(lines)
end

local function run(context, arguments)
  local row, err = context:call("app.show", { name = arguments.name })
  if not row then return context:fail(err) end
  if arguments.json then
    context:print_json(row)
  else
    context:print(format(row))
  end
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
