--- One document in Consul: read, change, write with check-and-set.
--
-- Nothing is written that is already there. Who writes in between wins nothing and loses nothing:
-- the document is read again and the change made again.

local store = require("appmgr.control.store")

local M = {}

--- How often a write is tried again after somebody else's came first.
local MAX_ATTEMPTS <const> = 5

--- What `change` answers to have the key deleted.
M.REMOVE = {}

--- Changes a document and answers the request.
-- @tparam table agent
-- @tparam table request
-- @tparam table target `name`, `key`, `what` (in messages: `task "web"`), `refuse_unknown` (function(), answers the request
--   when `change` says "not_found"), `confirm` (function(entry|nil, text|M.REMOVE, continue): what has to be written before; may
--   be absent)
-- @tparam function change function(entry|nil) → the new text, M.REMOVE, true (nothing to do), or nil, code and message of a
--   refusal; a lost race calls it again
function M.document(agent, request, target, change)
  local attempt, write

  local function written(attempts, outcome)
    return function(done, err)
      if done then return request:reply({ name = target.name, outcome = outcome }) end
      if err then return request:fail("failed", ("%s was not written: %s"):format(target.what, store.text(err))) end
      attempt(attempts + 1)
    end
  end

  function write(entry, text, attempts, is_confirmed)
    if target.confirm and not is_confirmed then
      return target.confirm(entry, text, function() write(entry, text, attempts, true) end)
    end
    local cas = { cas = entry and entry.modify_index or 0 }
    if text ~= M.REMOVE then
      return agent.client:put(target.key, text, cas, written(attempts, entry and "updated" or "created"))
    end
    agent.client:delete(target.key, cas, written(attempts, "updated"))
  end

  function attempt(attempts)
    if attempts > MAX_ATTEMPTS then
      local text = "%s was changed by others %d times in a row while this change was tried; try again"
      return request:fail("conflict", text:format(target.what, MAX_ATTEMPTS))
    end
    store.entry(agent, target.key, function(entry, err)
      if err then return request:fail("failed", ("%s could not be read: %s"):format(target.what, store.text(err))) end
      local text, code, message = change(entry)
      if text == true then return request:reply({ name = target.name, outcome = "unchanged" }) end
      if text then return write(entry, text, attempts) end
      if code == "not_found" then return target.refuse_unknown() end
      request:fail(code, message)
    end)
  end

  attempt(1)
end

return M
