--- `appmgr policy ls`: the policies that Consul holds, and which one is in use.

local change = require("appmgr.cli.policy_change")
local grid = require("appmgr.cli.grid")
local json = require("appmgr.json")
local policy_store = require("appmgr.cli.policy_store")

local TEXT = [[
appmgr policy ls
List the policies that Consul holds with their versions, latest first, and which one is in use.

  --json           for programs]]

local function sorted_names(versions)
  local names = {}
  for name in pairs(versions) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- All versions as rows, policies by name, versions latest first.
local function rows_of(stored)
  local rows = {}
  for _, name in ipairs(sorted_names(stored.versions)) do
    for _, version in ipairs(stored.versions[name]) do
      local in_use = stored.use.name == name and stored.use.hash == version.hash
      rows[#rows + 1] = { name = name, version = version.hash, in_use = in_use, bytes = #version.source }
    end
  end
  return rows
end

local function run(context, arguments)
  local stored, err = policy_store.read(context)
  if not stored then return context:fail(err) end
  local rows = rows_of(stored)
  if arguments.json then
    local use = stored.use
    context:print_json({
      policies = json.array(rows), history = json.array(use.history),
      use = { name = use.name, version = use.hash, options = use.options },
    })
    return 0
  end
  local lines = {}
  for index, row in ipairs(rows) do lines[index] = { row.name, row.version, row.in_use and "in use" or "-", row.bytes } end
  if #lines > 0 then context:print(grid.format({ "NAME", "VERSION", "USE", ">BYTES" }, lines)) end
  context:print(("in use: %s"):format(change.shown(stored.use)))
  return 0
end

return { text = TEXT, speaks_to_agent = true, run = run }
