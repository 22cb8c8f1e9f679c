--- Finds the command that the words on the command line name, and runs it.
--
-- Exit codes: 0 done, 1 failed, 2 wrong usage. What was asked for goes to stdout; everything else
-- (refusals, hints) to stderr.

local names = require("appmgr.cli.commands")
local suggest = require("appmgr.suggest")
local usage = require("appmgr.cli.usage")

local M = {}

--- Loads one command.
-- @tparam string name "task apply"
-- @treturn table {spec, run} see commands/init.lua
function M.load(name)
  local command = require("appmgr.cli.commands." .. name:gsub("[ -]", "_"))
  return { spec = usage.read(command.text, command.speaks_to_agent), run = command.run }
end

local function overview()
  local lines = {
    "appmgr keeps applications running on many machines.",
    "",
    "usage: appmgr COMMAND [options] ...",
    "",
  }
  for _, name in ipairs(names) do
    lines[#lines + 1] = ("  %-16s  %s"):format(name, M.load(name).spec.summary)
  end
  lines[#lines + 1] = ""
  lines[#lines + 1] = '"appmgr COMMAND --help" tells more about one of them; "appmgr --version" prints the version.'
  return table.concat(lines, "\n")
end

--- The second words of the commands that start with `first`: {"apply", …} for "task".
local function members(first)
  local found = {}
  for _, name in ipairs(names) do
    local group, member = name:match("^(%S+) (%S+)$")
    if group == first then found[#found + 1] = member end
  end
  return found
end

local function is_command(name)
  for _, known in ipairs(names) do
    if known == name then return true end
  end
  return false
end

local function quoted_hint(near)
  return near and ('; did you mean "appmgr %s"?'):format(near) or ""
end

local function group_message(group, word)
  local inside = members(group)
  local choices = table.concat(inside, ", ")
  if not word then return ('"appmgr %s" needs one of: %s'):format(group, choices) end
  local near = suggest.nearest(word, inside)
  -- What they are is told by a word of its own: "appmgr tasks".
  if (word == "ls" or word == "list") and is_command(group .. "s") then
    return ('"appmgr %s" has no command "%s"%s'):format(group, word, quoted_hint(group .. "s"))
  end
  local hint = near and quoted_hint(group .. " " .. near) or ("; it has: " .. choices)
  return ('"appmgr %s" has no command "%s"%s'):format(group, word, hint)
end

local function unknown_message(first)
  if first:sub(1, 1) == "-" then
    return ('options stand after the command: appmgr COMMAND %s …'):format(first)
  end
  local candidates, seen = {}, {}
  for _, name in ipairs(names) do
    local word = name:match("^%S+")
    if not seen[word] then candidates[#candidates + 1] = word end
    seen[word] = true
  end
  return ('there is no command "%s"%s'):format(first, quoted_hint(suggest.nearest(first, candidates)))
end

--- Finds the command that `argv` starts with.
-- @treturn[1] string name
-- @treturn[1] integer how many words it took
-- @treturn[2] nil
-- @treturn[2] string the refusal
local function find(argv)
  local first, second = argv[1], argv[2]
  if is_command(first) then return first, 1 end
  if #members(first) == 0 then return nil, unknown_message(first) end
  local name = second and first .. " " .. second
  if name and is_command(name) then return name, 2 end
  return nil, group_message(first, second)
end

local function group_help(group)
  local lines = {}
  for _, member in ipairs(members(group)) do
    local spec = M.load(group .. " " .. member).spec
    lines[#lines + 1] = ("  %-36s  %s"):format(spec.call, spec.summary)
  end
  return table.concat(lines, "\n")
end

--- Answers what is no command: no words at all, --help, --version, "help", "task --help".
local function answer_general(context, argv)
  local first, second = argv[1], argv[2]
  if not first then
    context:warn(overview())
    return 2
  elseif first == "--version" or first == "-V" then
    context:print("appmgr " .. context.version)
    return 0
  elseif first == "--help" or first == "-h" or (first == "help" and not second) then
    context:print(overview())
    return 0
  elseif (second == "--help" or second == "-h") and #members(first) > 0 then
    context:print(group_help(first))
    return 0
  end
  return nil
end

--- Runs one command line.
-- @tparam table context from appmgr.cli.context
-- @tparam {string,...} argv the words after "appmgr"
-- @treturn integer exit code
function M.run(context, argv)
  local code = answer_general(context, argv)
  if code then return code end
  if argv[1] == "help" then
    argv = table.move(argv, 2, #argv, 1, {})
    argv[#argv + 1] = "--help"
    return M.run(context, argv)
  end
  local name, taken = find(argv)
  if not name then return context:misuse(taken, "appmgr --help") end
  local command = M.load(name)
  local arguments, err = usage.parse(command.spec, table.move(argv, taken + 1, #argv, 1, {}))
  if not arguments then return context:misuse(err, "appmgr " .. name .. " --help") end
  if arguments.help then
    context:print("usage: " .. command.spec.text)
    return 0
  end
  context.socket = arguments.socket or context.socket
  return command.run(context, arguments)
end

return M
