--- What is wrong with the global names that a policy's text uses: those that do not exist for a policy, those it sets.
local globals = require("appmgr.workbench.globals")
local suggest = require("appmgr.suggest")

local M = {}

-- Why a name that Lua has is none of a policy's: what to do instead.
local ADVICE <const> = {
  os = "a policy has no clock and no environment: its answer follows from the snapshot",
  io = "a policy has no files",
  print = "a policy has no output; give a reason with: return false, \"code\", detail",
  next = "use pairs, which goes through a table in the order of its keys",
  require = "a policy is one file",
  pcall = "an error of a policy is shown with its line; do not hide it",
  setmetatable = "records are plain tables",
  ["math.random"] = "a policy leaves nothing to chance: the same snapshot gives the same answer",
}

local function keys_of(values)
  local list = {}
  for key in pairs(values) do list[#list + 1] = key end
  return list
end

local function unknown_text(name, known)
  local near = suggest.nearest(name, known)
  return ADVICE[name] or (near and ("did you mean \"%s\"?"):format(near)) or "policies/README.md lists the names there are"
end

local function finding(use, environment)
  if use.kind == "set" then
    return ("sets the global \"%s\"; write \"local %s\", nothing outlives a call"):format(use.name, use.name)
  end
  local value = environment[use.name]
  if value == nil then
    return ("there is no \"%s\" for a policy; %s"):format(use.name, unknown_text(use.name, keys_of(environment)))
  end
  if use.member and type(value) == "table" and value[use.member] == nil then
    local name = use.name .. "." .. use.member
    local members = {}
    for position, member in ipairs(keys_of(value)) do members[position] = use.name .. "." .. member end
    return ("there is no \"%s\" for a policy; %s"):format(name, unknown_text(name, members))
  end
end

--- Looks at each use of a global name.
-- @tparam string text the policy
-- @tparam string name of its file, for messages
-- @tparam table environment the names a policy has, see Policy.environment
-- @treturn {string,...} what is wrong, `file:line: text`, in the order of the lines; the syntax error alone when there is
--   one
function M.findings(text, name, environment)
  local uses, reason = globals.uses(text, name)
  -- A chunk that is no text is refused without its name.
  if not uses then return { reason:sub(1, #name) == name and reason or ("%s: %s"):format(name, reason) } end
  local list, seen = {}, {}
  for _, use in ipairs(uses) do
    local text_of = finding(use, environment)
    local line = text_of and ("%s:%d: %s"):format(name, use.line, text_of)
    if line and not seen[line] then list[#list + 1], seen[line] = line, true end
  end
  return list
end

return M
