--- Methods that change what stands under `policy/`. Who calls them has tried the policy; the leader tries it again.

local documents = require("appmgr.policy_documents")
local json = require("appmgr.json")
local names = require("appmgr.names")
local store = require("appmgr.control.store")

local M = {}

--- What Consul takes as one value.
local MAX_BYTES <const> = 512 * 1024

local function is_refused(agent, request)
  if store.is_missing(agent, request) then return true end
  local ok, err = names.check(request.params.name)
  if ok then return false end
  request:fail("bad_request", "the policy's name: " .. err)
  return true
end

--- policy.configured {} → {name, source, options}: what this agent places with when it leads and Consul names no policy
function M.configured(agent, request)
  local own = agent.policy_source.policy
  request:reply({ name = own.name, source = own.source, options = own.options })
end

--- policy.put {name, source=text} → {name, hash, outcome="created"|"unchanged"}
function M.put(agent, request)
  if is_refused(agent, request) then return end
  local name, source = request.params.name, request.params.source
  if type(source) ~= "string" or source == "" then return request:fail("bad_request", '"source" is the policy\'s text') end
  if #source > MAX_BYTES then
    return request:fail("bad_request", ('policy "%s" is %d bytes long; Consul takes %d as one value'):format(name, #source, MAX_BYTES))
  end
  local hash = documents.hash(source, agent.core.codec)
  -- A version never changes: what is there already is the same.
  agent.client:put(documents.version_key(name, hash), source, { cas = 0 }, function(written, err)
    if written == nil then return request:fail("failed", ('policy "%s" was not written: %s'):format(name, store.text(err))) end
    request:reply({ name = name, hash = hash, outcome = written and "created" or "unchanged" })
  end)
end

--- policy.choose {document=text, index=integer} → {outcome="updated"}: writes `policy/use` if it still is as it was read
function M.choose(agent, request)
  if store.is_missing(agent, request) then return end
  local text, index = request.params.document, request.params.index
  local use, reason = documents.read_use(type(text) == "string" and text or "", json)
  if not use then return request:fail("bad_request", '"document" is the text of policy/use: ' .. reason) end
  if math.type(index) ~= "integer" then return request:fail("bad_request", '"index" is that of policy/use, as it was read') end
  agent.client:put(documents.USE, text, { cas = index }, function(written, err)
    if written then return request:reply({ outcome = "updated" }) end
    if err then return request:fail("failed", "policy/use was not written: " .. store.text(err)) end
    request:fail("conflict", "somebody chose a policy at the same moment; look at it and try again")
  end)
end

--- policy.remove {name, hash} → {name, hash, outcome="removed"}; a version that is not there counts as removed
function M.remove(agent, request)
  if is_refused(agent, request) then return end
  local name, hash = request.params.name, request.params.hash
  local ok, err = names.check(hash, "version")
  if not ok then return request:fail("bad_request", err) end
  agent.client:delete(documents.version_key(name, hash), {}, function(deleted, delete_error)
    if deleted then return request:reply({ name = name, hash = hash, outcome = "removed" }) end
    request:fail("failed", ('policy "%s" was not removed: %s'):format(name, store.text(delete_error)))
  end)
end

return M
