--- The policies that Consul holds, as commands look at them.

local documents = require("appmgr.policy_documents")
local json = require("appmgr.json")

local M = {}

local UNREADABLE <const> = 'policy/use in Consul cannot be read: %s; "appmgr policy use NAME", or --configured, writes it anew'

local function decode(entry, context)
  return entry.Value and context.core.codec.base64_decode(entry.Value) or ""
end

local function take_version(versions, name, hash, entry, context)
  versions[name] = versions[name] or {}
  table.insert(versions[name], { name = name, hash = hash, index = entry.CreateIndex or 0, source = decode(entry, context) })
end

--- Reads them.
-- @tparam table context of the command line
-- @tparam[opt] boolean is_replaced `policy/use` is about to be written anew: that it cannot be read is no matter
-- @treturn[1] table `use` (see policy_documents.read_use), `index` of `policy/use` (0: it is not there), `versions` (by name, arrays,
--   latest first: `name`, `hash`, `index`, `source`), `unreadable` (why `use` cannot be read; nil: it can)
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(context, is_replaced)
  local answers, err = context:call("consul.read", { keys = { { key = "policy/", recurse = true } } })
  if not answers then return nil, err end
  if answers[1].error then return nil, answers[1].error end
  local listing = answers[1].status == 200 and json.decode(context.core.codec.base64_decode(answers[1].body_base64)) or {}
  local stored = { use = { history = {} }, index = 0, versions = {} }
  for _, entry in ipairs(listing) do
    local key = entry.Key:match("policy/.*$")
    local name, hash = documents.version_of(key)
    if name then
      take_version(stored.versions, name, hash, entry, context)
    elseif key == documents.USE then
      local use, reason = documents.read_use(decode(entry, context), json)
      if not use and not is_replaced then return nil, UNREADABLE:format(reason) end
      stored.use, stored.index, stored.unreadable = use or stored.use, entry.ModifyIndex, reason
    end
  end
  for _, versions in pairs(stored.versions) do
    table.sort(versions, function(a, b) return a.index > b.index end)
  end
  return stored
end

--- Finds a version.
-- @tparam table stored from `read`
-- @tparam string word NAME or NAME@VERSION, of which the first characters are enough
-- @treturn[1] table the latest one that fits
-- @treturn[2] nil
-- @treturn[2] string why there is none
-- @treturn[2] boolean whether the name itself is not there
function M.find(stored, word)
  local name, wanted = word:match("^([^@]*)@(.*)$")
  name, wanted = name or word, wanted or ""
  local versions, hits = stored.versions[name], {}
  if not versions then
    return nil, ('Consul holds no policy "%s"; "appmgr policy ls" lists them, "appmgr policy put FILE" adds one'):format(name), true
  end
  for _, version in ipairs(versions) do
    if version.hash:sub(1, #wanted) == wanted then hits[#hits + 1] = version end
  end
  if #hits == 0 then return nil, ('policy "%s" has no version "%s"; "appmgr policy ls" lists them'):format(name, wanted) end
  if wanted ~= "" and #hits > 1 then
    return nil, ('"%s" begins several versions of policy "%s"; write more of it'):format(wanted, name)
  end
  return hits[1]
end

--- The policy in use.
-- @tparam table stored from `read`
-- @treturn ?table {name, source, options, hash}; nil: the configuration's
-- @treturn ?string why it cannot be said
function M.chosen(stored)
  local use = stored.use
  if not use.name then return nil end
  local version = M.find(stored, use.name .. "@" .. use.hash)
  if not version then return nil, ("policy/version/%s/%s, which is in use, is not in Consul"):format(use.name, use.hash) end
  return { name = use.name, source = version.source, options = use.options, hash = use.hash }
end

return M
