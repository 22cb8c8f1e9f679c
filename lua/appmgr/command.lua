--- A command of a document: how it is written, and what is executed for it.
local fields = require("appmgr.fields")

local M = {}

-- make(1) runs a recipe line itself unless a shell would see more in it than
-- words; quotes and backslashes are left to the shell as well, because only it
-- knows its own rules.
local SHELL_CHARACTERS = "[#;\"'\\*?%[%]&|<>(){}$`^~!\n]"
local SHELL_WORDS = {}
for word in ([[. : alias bg break case cd command continue eval exec exit export fc fg for getopts hash if jobs
  login logout read readonly return set shift test times trap type ulimit umask unalias unset until wait while]])
  :gmatch("%S+") do
  SHELL_WORDS[word] = true
end

local function words(command)
  local list = {}
  for word in command:gmatch("%S+") do list[#list + 1] = word end
  return list
end

local function needs_shell(command, first)
  return command:find(SHELL_CHARACTERS) ~= nil or SHELL_WORDS[first] or first:find("=", 1, true) ~= nil
end

local plain_text = fields.text()

local function read_command_array(value)
  for index, word in ipairs(value) do
    local text, reason = plain_text(word)
    if not text then
      return nil, ("word %d %s"):format(index, reason)
    end
  end
  if value[1] == "" then
    return nil, "the first word names the program and must not be empty"
  end
  return table.move(value, 1, #value, 1, {})
end

--- A reader of commands.
-- @param value a string, or an array of strings
-- @return the same; nil and why not
function M.read(value)
  if type(value) == "table" and #value > 0 then
    return read_command_array(value)
  end
  if type(value) ~= "string" then
    return nil, "must be a string or an array of strings that is not empty"
  end
  if not value:find("%S") then
    return nil, "must not be empty"
  end
  return plain_text(value)
end

--- What to execute for a command.
-- @tparam string|table command as in a document that was read without errors
-- @treturn {string,...} words, the first names the program
function M.argv(command)
  if type(command) == "table" then
    return table.move(command, 1, #command, 1, {})
  end
  local list = words(command)
  if needs_shell(command, list[1]) then
    return { "/bin/sh", "-c", command }
  end
  return list
end

return M
