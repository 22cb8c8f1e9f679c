--- What stands under `policy/` in Consul: versions of policies, and which one is in use.
--
--   policy/version/<name>/<hash>   the Lua text of a policy; never changed, the last KEEP of a name are kept
--   policy/use                     {"name","hash","options","history":[{"name","hash","options","at"}…]}
--
-- Without a name in `policy/use` each leader's own configuration decides. The history holds what was in use before, latest
-- first, for `policy rollback`.
local fields = require("appmgr.fields")
local names = require("appmgr.names")

local M = {}

--- How many versions of one policy are kept, and how many steps back.
M.KEEP = 10

--- The key that says which policy is in use.
M.USE = "policy/use"

--- What `policy/use` holds before anybody chose.
M.NOBODY_CHOSE = '{"history":[]}'

--- The short name of a version.
-- @tparam string source the policy's text
-- @tparam table codec core.codec
-- @treturn string
function M.hash(source, codec)
  return codec.sha256(source):sub(1, 12)
end

--- The key of a version.
function M.version_key(name, hash)
  return ("policy/version/%s/%s"):format(name, hash)
end

--- Takes the key of a version apart.
-- @treturn ?string name; nil when it is no such key
-- @treturn ?string hash
function M.version_of(key)
  return key:match("^policy/version/([^/]+)/([^/]+)$")
end

local function read_choice(value)
  if not fields.is_object(value) then return nil, "is no JSON object" end
  if value.name == nil then return {} end
  local ok, reason = names.check(value.name, "name")
  if ok then ok, reason = names.check(value.hash, "hash") end
  if not ok then return nil, reason end
  if value.options ~= nil and not fields.is_object(value.options) then return nil, "options must be an object" end
  return { name = value.name, hash = value.hash, options = value.options, at = math.type(value.at) and value.at or nil }
end

--- Reads `policy/use`.
-- @tparam ?string text
-- @tparam table json appmgr.json
-- @treturn[1] table `name`, `hash`, `options` (all nil: nobody chose), `history` (array of such)
-- @treturn[2] nil
-- @treturn[2] string why it cannot be read
function M.read_use(text, json)
  local document, err = json.decode(text or "")
  local use, reason = read_choice(not json.is_array(document) and document or nil)
  if not use then return nil, err or reason end
  use.history = {}
  for _, earlier in ipairs(fields.is_object(document) and type(document.history) == "table" and document.history or {}) do
    local choice = read_choice(earlier)
    if choice then use.history[#use.history + 1] = choice end
  end
  return use
end

local function without_history(use, at)
  return { name = use.name, hash = use.hash, options = use.options, at = at }
end

--- Whether a choice is what stands there already.
-- @tparam table use what stands there, from `read_use`
-- @tparam table choice `name`, `hash`, `options`; empty: the configuration's
-- @tparam table json appmgr.json
-- @treturn boolean
function M.is_chosen(use, choice, json)
  return json.encode(without_history(use)) == json.encode(without_history(choice))
end

--- The text of `policy/use` after another choice.
-- @tparam table use what stands there, from `read_use`
-- @tparam table choice `name`, `hash`, `options`; empty: the configuration's
-- @tparam integer at unix s
-- @tparam table json appmgr.json
-- @treturn string
function M.choose(use, choice, at, json)
  local history = { without_history(use, at) }
  for index = 1, math.min(#use.history, M.KEEP - 1) do history[index + 1] = use.history[index] end
  local document = without_history(choice)
  document.history = json.array(history)
  return json.encode(document)
end

--- The text of `policy/use` after a step back.
-- @treturn ?string nil when there is nothing to go back to
-- @treturn ?table what is in use then
function M.step_back(use, json)
  local earlier = use.history[1]
  if not earlier then return nil end
  local document = without_history(earlier)
  document.history = json.array(table.move(use.history, 2, #use.history, 1, {}))
  return json.encode(document), earlier
end

--- The versions of one policy that need not be kept: beyond the last KEEP, neither in use nor in the history.
-- @tparam {table,...} versions of that policy, latest first: `name`, `hash`
-- @tparam table use from `read_use`
-- @treturn {table,...}
function M.surplus(versions, use)
  local needed, list = {}, {}
  for _, choice in ipairs({ use, table.unpack(use.history) }) do
    if choice.name then needed[choice.name .. "/" .. choice.hash] = true end
  end
  for index, version in ipairs(versions) do
    if index > M.KEEP and not needed[version.name .. "/" .. version.hash] then list[#list + 1] = version end
  end
  return list
end

return M
