--- The task document under `task/<name>`: an application and how often it runs where.
local application = require("appmgr.application")
local fields = require("appmgr.fields")
local names = require("appmgr.names")
local placement = require("appmgr.placement")

local M = {}

--- Most replicas of one task.
M.MAX_REPLICATION = 10000

--- Largest content in bytes of canonical JSON: base64 of it must fit into a
-- transaction of 512 KiB beside the other operations.
M.MAX_CONTENT_BYTES = 352 * 1024

local DEFAULTS = { replication = 1, priority = 0, max_per_node = 1, on_disconnect = "keep" }

local function read_replication(value)
  if value == "all" then return value end
  local whole = math.type(value) and math.tointeger(value)
  if not whole or whole < 0 or whole > M.MAX_REPLICATION then
    return nil, ("must be a whole number from 0 to %d, or \"all\""):format(M.MAX_REPLICATION)
  end
  return whole
end

local function read_condition(value)
  if not fields.is_object(value) then
    return nil, "must be an object of labels and patterns"
  end
  local condition = {}
  for label, pattern in pairs(value) do
    local ok, reason = names.check_label(label)
    if not ok then return nil, reason end
    if math.type(pattern) then pattern = tostring(pattern) end
    if type(pattern) ~= "string" or #pattern > 256 then
      return nil, ("the pattern for %s must be a string of at most 256 bytes"):format(label)
    end
    condition[label] = pattern
  end
  return condition
end

-- The application is read on its own, by `read_content`: its findings carry
-- another place in front.
local function keep(value) return value end

--- The least and the most seconds of `stop_after_seconds`. Below, a single renewal that comes late would stop what
-- is healthy.
local STOP_AFTER = { fields = { stop_after_seconds = fields.integer(5, 604800) } }

local function read_on_disconnect(value, findings)
  if value == "keep" then return value end
  if not fields.is_object(value) or value.stop_after_seconds == nil then
    return nil, 'must be "keep", or {"stop_after_seconds": N}'
  end
  local read, found = fields.read(value, STOP_AFTER)
  fields.merge(findings, found, "on_disconnect.")
  return read
end

--- Most replicas of a task that are told of each other: each change of one is written for all.
M.MAX_PEERS = 100

local function read_boolean(value)
  if type(value) ~= "boolean" then return nil, "must be true or false" end
  return value
end

local SCHEMA = {
  fields = {
    content = keep,
    replication = read_replication,
    priority = fields.integer(-1000000, 1000000),
    max_per_node = fields.integer(1, M.MAX_REPLICATION),
    condition = read_condition,
    on_disconnect = read_on_disconnect,
    peers = read_boolean,
    rebalance = read_boolean,
  },
  later = {},
}
for name in ("update service group"):gmatch("%S+") do SCHEMA.later[name] = true end
for name, reader in pairs(placement.READERS) do SCHEMA.fields[name] = reader end

--- What a node has to know beside the application stands in the version, under the task's own name for it: a node
-- reads no task document, and a change of it reaches the nodes as any other change does.
local TERMS = { "on_disconnect" }

local function version_content(document)
  local content = {}
  for key, value in pairs(document.content) do content[key] = value end
  for _, name in ipairs(TERMS) do content[name] = document[name] end
  if content.on_disconnect == "keep" then content.on_disconnect = nil end
  return content
end

--- Reads the content of a version, as it stands under `version/<task>/<hash>`.
-- @param document decoded JSON
-- @treturn ?table the application (see application.read) with `stop_after_seconds` (nil: it goes on without Consul);
--   nil when there are errors
-- @treturn fields.Findings
function M.read_version(document)
  local app, findings = application.read(document)
  if not app or document.on_disconnect == nil then return app, findings end
  local terms, reason = read_on_disconnect(document.on_disconnect, fields.findings())
  if not terms then
    findings.errors[1] = "on_disconnect: " .. reason
    return nil, findings
  end
  app.stop_after_seconds = terms.stop_after_seconds
  return app, findings
end

--- Takes apart the content of a version: what an operator writes as `content`, and what stands beside it.
-- @tparam table document decoded JSON
-- @treturn table a task document without a replication
function M.of_version(document)
  local made, content = {}, {}
  for key, value in pairs(document) do content[key] = value end
  for _, name in ipairs(TERMS) do made[name], content[name] = content[name], nil end
  made.content = content
  return made
end

--- What to say of a field that is not there, see fields.instead.
-- @tparam table document
-- @tparam string name
-- @tparam string what
-- @treturn string
function M.instead(document, name, what)
  return fields.instead(document, SCHEMA, name, what)
end

local function read_content(name, document, findings)
  local content = document.content
  if content == nil then
    table.insert(findings.errors, "content: is missing; "
      .. M.instead(document, "content", "it holds the application to run"))
    return nil
  end
  if not fields.is_object(content) then
    table.insert(findings.errors, "content: must be an object that describes an application")
    return nil
  end
  local app, found = application.read(content)
  fields.merge(findings, found, "content.")
  if app and app.name and app.name ~= name then
    table.insert(findings.warnings,
      ("content.name: \"%s\" has no effect, the task's key names it \"%s\""):format(app.name, name))
  end
  if content.resources ~= nil then
    table.insert(findings.errors, "content.resources: stands in the wrong place; put resources beside content")
  end
  if app then app.name = name end
  return app
end

--- Why the slots of a task cannot be told of each other; nil when they can, or need not.
local function too_many_peers(task)
  local replication = task.replication or DEFAULTS.replication
  if not task.peers or replication ~= "all" and replication <= M.MAX_PEERS then return nil end
  return ("peers: at most %d replicas are told of each other; the replication is %s"):format(M.MAX_PEERS, replication)
end

--- The task's name in a key of the store.
-- @tparam string key relative to the prefix, `task/web`
-- @treturn[1] string the name
-- @treturn[2] nil
-- @treturn[2] ?string why it names no task; nil for a folder (`task/`, `task/x/`)
function M.name_of(key)
  local rest = key:match("^task/(.*)$")
  if not rest or rest == "" or rest:sub(-1) == "/" then
    return nil
  end
  if rest:find("/", 1, true) then
    return nil, ("%s: a task stands directly under task/, not deeper; move it to task/%s"):format(
      key, rest:gsub("/", "-"))
  end
  local ok, reason = names.check(rest, "task name")
  if not ok then
    return nil, reason
  end
  return rest
end

--- Reads a decoded task document.
-- @tparam string name the task's name (its key)
-- @param document a decoded JSON value
-- @treturn ?table the task, nil when there are errors: `name`, `content` (as
--   written), `application`, `replication` (number or "all"), `priority`,
--   `max_per_node`, `condition` (maybe empty), `on_disconnect` ("keep", or
--   `stop_after_seconds`), `peers` (true or nil), `rebalance` (false: never moved for
--   balance; or nil), `unsupported` (fields it asks for that this version cannot honour: it must stay pending)
-- @treturn fields.Findings
function M.read(name, document)
  if not fields.is_object(document) then
    local findings = fields.findings()
    findings.errors[1] = "must be a JSON object with a content and a replication"
    return nil, findings
  end
  local task, findings = fields.read(document, SCHEMA)
  local app = read_content(name, document, findings)
  local ok, reason = names.check(name, "task name")
  if not ok then table.insert(findings.errors, reason) end
  task.name = name
  table.insert(findings.errors, placement.contradiction(task))
  table.insert(findings.errors, too_many_peers(task))
  if #findings.errors > 0 then
    return nil, findings
  end
  for field, default in pairs(DEFAULTS) do
    if task[field] == nil then task[field] = default end
  end
  placement.complete(task)
  task.application = app
  task.condition = task.condition or {}
  task.peers = task.peers or nil
  if task.rebalance then task.rebalance = nil end
  task.unsupported = findings.unsupported
  return task, findings
end

local function duplicate_warning(text, json)
  local key, line = json.duplicate(text)
  return key and ("%s: stands twice in one object (line %d); the last one counts, the other has no effect"):format(key, line)
end

--- Reads the bytes of a task document and finds its version.
-- @tparam string name the task's name (its key)
-- @tparam ?string text the value; nil for an empty one
-- @tparam table json appmgr.json
-- @tparam table codec core.codec
-- @treturn ?table the task as from `read`, with `version` and `content_text`
--   (the canonical text a version key holds: the content, and with it what nodes have to know beside it)
-- @treturn fields.Findings
function M.parse(name, text, json, codec)
  local findings = fields.findings()
  if not text or text == "" then
    findings.errors[1] = "the value is empty; expected a JSON object with a content and a replication"
    return nil, findings
  end
  local document, reason = json.decode(text)
  if document == nil then
    findings.errors[1] = "is no valid JSON: " .. (reason or "null")
    return nil, findings
  end
  local task
  task, findings = M.read(name, document)
  table.insert(findings.warnings, duplicate_warning(text, json))
  if not task then
    return nil, findings
  end
  local content = version_content(task)
  task.content_text = json.encode(content)
  if #task.content_text > M.MAX_CONTENT_BYTES then
    table.insert(findings.errors, ("content: is %d bytes; at most %d fit into a transaction of Consul"):format(
      #task.content_text, M.MAX_CONTENT_BYTES))
    return nil, findings
  end
  task.version = application.version(content, json, codec)
  return task, findings
end

return M
