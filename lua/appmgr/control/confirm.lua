--- Confirmations under `confirm/`: of a plan that somebody looked at, and of changes whose command says what is meant.

local clock = require("appmgr.clock")
local confirmation = require("appmgr.confirmation")
local fields = require("appmgr.fields")
local json = require("appmgr.json")
local names = require("appmgr.names")
local store = require("appmgr.control.store")

local M = {}

local function write(agent, id, subjects, callback)
  local text = confirmation.encode(subjects, math.floor(clock.now()), json)
  agent.client:put("confirm/" .. id, text, {}, callback)
end

--- Confirms the stops of one change before it is made; without the change it is about nothing. Where it cannot be written the
-- change is made all the same, and waits for a confirmation if it must.
-- @tparam table agent
-- @tparam string id
-- @tparam string subject see appmgr.confirmation
-- @tparam ?string text of the new document; nil: it is removed
-- @tparam function continue ()
function M.of_change(agent, id, subject, text, continue)
  write(agent, id, { [subject] = confirmation.intent(text, agent.core.codec) }, function() continue() end)
end

--- plan.confirm {id, subjects={subject=intent}} → {id}
function M.plan(agent, request)
  if store.is_missing(agent, request) then return end
  local id, subjects = request.params.id, request.params.subjects or {}
  local ok, err = names.check(id, "id")
  if not ok then return request:fail("bad_request", err) end
  if not fields.is_object(subjects) then return request:fail("bad_request", '"subjects" is an object of intents') end
  write(agent, id, subjects, function(written, write_error)
    if written then return request:reply({ id = id }) end
    request:fail("failed", ("%s was not confirmed: %s"):format(id, store.text(write_error)))
  end)
end

return M
