--- A confirmation as it stands under `confirm/<id>`: {"subjects":{"web":"<intent>"},"at":unix s}.
--
-- A subject is who asks for something: a task by its name, a drained node as "node:<host>". Its intent names the document
-- that asks, so that a confirmation is about that and nothing later.
local M = {}

--- The intent of a document that is removed.
M.REMOVED = "removed"

--- Names what a document asks for.
-- @tparam ?string text of the document; nil: it is removed
-- @tparam table codec core.codec
-- @treturn string
function M.intent(text, codec)
  return text and codec.sha256(text):sub(1, 12) or M.REMOVED
end

--- The subject of what is wanted of a node.
-- @tparam string host
-- @treturn string no task can be called so
function M.node(host)
  return "node:" .. host
end

--- The host that a subject is about.
-- @treturn ?string nil: it is a task
function M.host_of(subject)
  return subject:match("^node:(.*)$")
end

--- The text of a confirmation.
-- @tparam table subjects intents by subject; empty for one that is about its id alone
-- @tparam integer at unix s
-- @tparam table json appmgr.json
-- @treturn string
function M.encode(subjects, at, json)
  return json.encode({ subjects = subjects, at = at })
end

return M
