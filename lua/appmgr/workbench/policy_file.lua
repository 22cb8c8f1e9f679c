--- A policy that stands in a file, or is one of those that are installed, for the commands that try policies.
local config = require("appmgr.config")
local json = require("appmgr.json")

local M = {}

--- Where a policy is looked for: a path, with or without a slash before `.lua`, else the name of an installed one.
local function location(word)
  if word:find("/", 1, true) or not word:find("%.lua$") then return word end
  return "./" .. word
end

local function read_options(text)
  if not text then return nil end
  local options, reason = json.decode(text)
  if type(options) ~= "table" or json.is_array(options) then
    return nil, ("--options is no JSON object: %s"):format(reason or "it is " .. text)
  end
  return options
end

--- Reads a policy's text, and the options that are to go with it.
-- @tparam table context of the command line
-- @tparam string word a path or a name
-- @tparam[opt] string options JSON, as in the configuration
-- @treturn[1] table `name`, `path`, `source`, `options`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(context, word, options)
  local core = context.core
  local values, reason = read_options(options)
  if reason then return nil, reason end
  local found
  found, reason = config.load_policy({ name = location(word) }, core.file, core.runtime.share_dir)
  if not found then return nil, (reason:gsub("^Policy: ", "")) end
  found.options = values
  return found
end

return M
