--- What a command accepts, read from the text that its `--help` prints.
--
-- A command is described once, by one string. Its first line is the call, the following lines
-- say what it does, and its last lines, indented by two spaces, are its options:
--
--     appmgr app logs NAME
--     Print the last lines that an application wrote.
--
--       -n, --lines N    how many lines (default: all that are kept)
--       -f, --follow     go on printing what is written from now on
--
-- Upper case words are arguments: `NAME` is needed, `[NAME]` may be left out, `FILE...` is one or
-- more, `[FILE...]` any number. Of `[ARG...]` everything after its first word is left alone. A value
-- called `N` is a whole number.
--
-- This module parses; it prints nothing and ends nothing.

local suggest = require("appmgr.suggest")

local M = {}

local SHARED = {
  help = "  -h, --help  print this text",
  socket = "  --socket PATH  the agent's socket (default: $APPMGR_SOCKET, else /run/appmgr/appmgr.sock)",
}

--- Splits an option's line: "  -n, --lines N    how many" → "-n, --lines N", "how many".
local function split_option_line(line)
  return line:match("^  (%-.-)  +(%S.*)$")
end

local function parse_option(line)
  local head, help = split_option_line(line)
  if not head then return nil end
  local long = assert(head:match("%-%-([%w-]+)"), "an option needs a long name: " .. line)
  return {
    long = long,
    short = head:match("^%-(%w)%f[%W]"),
    value = head:match(" (%u+)$"),
    key = (long:gsub("-", "_")),
    help = help,
  }
end

local function parse_argument(word)
  local name = word:match("%u+")
  if not name then return nil end
  return {
    name = name,
    key = name:lower(),
    optional = word:sub(1, 1) == "[",
    many = word:find("...", 1, true) ~= nil,
  }
end

local function parse_call(line, spec)
  for word in line:gmatch("%S+") do
    local argument = parse_argument(word)
    if argument then
      spec.arguments[#spec.arguments + 1] = argument
      spec.rest_is_verbatim = spec.rest_is_verbatim or argument.name == "ARG"
    else
      spec.path[#spec.path + 1] = word
    end
  end
end

--- Puts what is said of the options into one column.
local function aligned(lines)
  local widest = 0
  for _, line in ipairs(lines) do
    local head = split_option_line(line)
    widest = math.max(widest, head and #head or 0)
  end
  for i, line in ipairs(lines) do
    local head, help = split_option_line(line)
    if head then lines[i] = "  " .. head .. (" "):rep(widest - #head + 2) .. help end
  end
  return lines
end

local function complete_text(text, speaks_to_agent)
  local lines = {}
  for line in (text:gsub("%s+$", "") .. "\n"):gmatch("(.-)\n") do lines[#lines + 1] = line end
  if not text:find("\n  %-") then lines[#lines + 1] = "" end
  if speaks_to_agent then lines[#lines + 1] = SHARED.socket end
  lines[#lines + 1] = SHARED.help
  return table.concat(aligned(lines), "\n")
end

--- Reads a command's text.
-- @tparam string text the description, see above
-- @tparam[opt=false] boolean speaks_to_agent adds the option that such commands share
-- @treturn table spec {name, call, summary, text, arguments, options}; `name` is without "appmgr"
function M.read(text, speaks_to_agent)
  local spec = { path = {}, arguments = {}, options = {} }
  spec.call, spec.summary = text:match("^([^\n]+)\n([^\n]+)")
  spec.text = complete_text(text, speaks_to_agent)
  for line in spec.text:gmatch("[^\n]+") do
    spec.options[#spec.options + 1] = parse_option(line)
  end
  parse_call(spec.call, spec)
  spec.name = table.concat(spec.path, " ", 2)
  return spec
end

local function find_option(spec, field, name)
  for _, option in ipairs(spec.options) do
    if option[field] == name then return option end
  end
  return nil
end

local function long_names(spec)
  local names = {}
  for i, option in ipairs(spec.options) do names[i] = "--" .. option.long end
  return names
end

local function unknown_option(spec, word)
  local near = suggest.nearest(word, long_names(spec))
  local hint = near and ('; did you mean "%s"?'):format(near) or ""
  return nil, ('unknown option "%s"%s'):format(word, hint)
end

--- Turns a value into what its placeholder promises.
local function convert(placeholder, shown, value)
  if placeholder ~= "N" then return value end
  local number = value:match("^%d+$") and math.tointeger(tonumber(value))
  if not number then
    return nil, ('%s takes a whole number, not "%s"'):format(shown, value)
  end
  return number
end

--- Splits one word that starts with a dash.
-- @treturn option, the value that stands in the same word (or nil), the rest of a cluster of short options
local function split_option(spec, word)
  local long, value = word:match("^%-%-([^=]+)=(.*)$")
  long = long or word:match("^%-%-(.+)$")
  if long then return find_option(spec, "long", long), value end
  local option = find_option(spec, "short", word:sub(2, 2))
  local rest = word:sub(3)
  if rest == "" then return option end
  if option and option.value then return option, rest end
  return option, nil, "-" .. rest
end

local function take_option(spec, words, position, values)
  local word = words[position]
  local option, value, cluster = split_option(spec, word)
  if not option then return unknown_option(spec, word:match("^[^=]+")) end
  local shown = "--" .. option.long
  if not option.value then
    if value then return nil, ('option "%s" takes no value'):format(shown) end
    values[option.key] = true
    if cluster then
      words[position] = cluster
      return position
    end
    return position + 1
  end
  if not value then
    position = position + 1
    value = words[position]
    if not value then return nil, ('option "%s" needs a value: %s %s'):format(shown, shown, option.value) end
  end
  -- Mostly a variable of a script that was not set: no path, name or number is empty.
  if value == "" then return nil, ('option "%s" needs a value that is not empty: %s %s'):format(shown, shown, option.value) end
  local converted, err = convert(option.value, shown, value)
  if converted == nil then return nil, err end
  values[option.key] = converted
  return position + 1
end

local function is_option(word)
  return word:match("^%-%-?[^%d%-]") ~= nil
end

local function split_words(spec, argv, values)
  local words, positional, position = table.move(argv, 1, #argv, 1, {}), {}, 1
  while position <= #words do
    local word = words[position]
    if word == "--" then
      table.move(words, position + 1, #words, #positional + 1, positional)
      break
    elseif is_option(word) then
      local next_position, err = take_option(spec, words, position, values)
      if not next_position then return nil, err end
      position = next_position
    else
      positional[#positional + 1] = word
      position = position + 1
      if spec.rest_is_verbatim then
        table.move(words, position, #words, #positional + 1, positional)
        break
      end
    end
  end
  return positional
end

local function assign_arguments(spec, positional, values)
  local position = 1
  for _, argument in ipairs(spec.arguments) do
    local value = positional[position]
    if value == nil and not argument.optional then
      return nil, ("%s is missing"):format(argument.name)
    end
    if argument.many then
      values[argument.key] = table.move(positional, position, #positional, 1, {})
      position = #positional + 1
    elseif value ~= nil then
      local converted, err = convert(argument.name, argument.name, value)
      if converted == nil then return nil, err end
      values[argument.key] = converted
      position = position + 1
    end
  end
  if positional[position] then
    return nil, ('unexpected argument "%s"'):format(positional[position])
  end
  return values
end

--- Parses the words after a command's name.
-- @tparam table spec from `read`
-- @tparam {string,...} argv
-- @treturn[1] table values by lower case name (`--state-dir D` is `state_dir`); {help=true} when help is asked for
-- @treturn[2] nil
-- @treturn[2] string what is wrong, one line
function M.parse(spec, argv)
  local values = {}
  local positional, err = split_words(spec, argv, values)
  if not positional then return nil, err end
  if values.help then return { help = true } end
  return assign_arguments(spec, positional, values)
end

return M
