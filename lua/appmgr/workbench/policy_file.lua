--- A policy that stands in a file, or is one of those that are installed, for the commands that try policies.
local Policy = require("appmgr.planner.policy")
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

--- Reads a policy's text.
-- @tparam table context of the command line
-- @tparam string word a path or a name
-- @treturn[1] table `name`, `path`, `source`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(context, word)
  local core = context.core
  local found, reason = config.load_policy({ name = location(word) }, core.file, core.runtime.share_dir)
  if not found then return nil, (reason:gsub("^Policy: ", "")) end
  return found
end

--- Loads a policy.
-- @tparam table context of the command line
-- @tparam string word a path or a name
-- @tparam[opt] string options JSON, as in the configuration
-- @treturn[1] Policy
-- @treturn[2] nil
-- @treturn[2] string why not
function M.load(context, word, options)
  local values, reason = read_options(options)
  if reason then return nil, reason end
  local found
  found, reason = M.read(context, word)
  if not found then return nil, reason end
  return Policy.load({ sandbox = context.core.sandbox }, {
    name = found.name, text = found.source, hash = context.core.codec.sha256(found.source), options = values,
  })
end

--- What an arena needs of the core.
-- @tparam table context of the command line
-- @treturn table see Arena.new
function M.arena_deps(context)
  return { json = json, codec = context.core.codec, clock = os.clock }
end

return M
