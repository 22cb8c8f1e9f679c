--- Methods that change what operators want of a node, under `node/<host>`.

local confirm = require("appmgr.control.confirm")
local confirmation = require("appmgr.confirmation")
local fields = require("appmgr.fields")
local intent = require("appmgr.intent")
local json = require("appmgr.json")
local modify = require("appmgr.control.modify")
local names = require("appmgr.names")
local store = require("appmgr.control.store")
local suggest = require("appmgr.suggest")

local M = {}

--- Says that there is no such node, with the nearest name there is.
local function refuse_unknown(agent, request, name)
  agent.client:get("live/", { keys = true }, function(answer)
    local keys = answer and answer.status == 200 and agent.client.keys(answer.body) or {}
    local known = {}
    for _, key in ipairs(keys) do known[#known + 1] = key:match("([^/]+)$") end
    local near = suggest.nearest(name, known)
    local hint = near and ('did you mean "%s"?'):format(near) or '"appmgr nodes" lists those there are'
    request:fail("not_found", ('there is no node "%s"; %s'):format(name, hint))
  end)
end

--- Whether anything in the store is about a node: it is there, it was there a moment ago, or somebody said something of it.
local function when_known(agent, request, name, continue)
  local keys = { "live/" .. name, "node/" .. name, "assignment/" .. name }
  local function look(position)
    if not keys[position] then return refuse_unknown(agent, request, name) end
    store.entry(agent, keys[position], function(entry, err)
      if err then return request:fail("failed", ('node "%s" could not be read: %s'):format(name, store.text(err))) end
      if entry then return continue() end
      look(position + 1)
    end)
  end
  look(1)
end

local function read_labels(labels, forget)
  if labels ~= nil and not fields.is_object(labels) then return "labels must be an object of names and strings" end
  if forget ~= nil and type(forget) ~= "table" then return "forget_labels must be an array of names" end
  for name, value in pairs(labels or {}) do
    local ok, reason = names.check_label(name)
    if not ok then return reason end
    if type(value) ~= "string" then return ("the value of label %s must be a string"):format(name) end
  end
  for _, name in ipairs(forget or {}) do
    local ok, reason = names.check_label(name)
    if not ok then return reason end
  end
  return nil
end

--- What is wrong with a request; nil when nothing is.
local function fault_of(params)
  local ok, reason = names.check(params.name, "node name")
  if not ok then return reason end
  local read, why = intent.read({ drain = params.drain, eligible = params.eligible })
  if not read then return why end
  return read_labels(params.labels, params.forget_labels)
end

local function with_labels(document, params)
  if not params.labels and not params.forget_labels then return end
  local labels = fields.is_object(document.labels) and document.labels or {}
  for name, value in pairs(params.labels or {}) do labels[name] = value end
  for _, name in ipairs(params.forget_labels or {}) do labels[name] = nil end
  document.labels = next(labels) and labels or nil
end

--- The document with what is said in a request; what says nothing is left out of it.
local function changed(document, params)
  with_labels(document, params)
  if params.drain ~= nil then document.drain = params.drain or nil end
  if params.eligible == false then document.eligible = false end
  -- The default says nothing.
  if params.eligible == true then document.eligible = nil end
  return document
end

--- node.set {name, drain?=false|true|{deadline,wait_for_room}, eligible?=boolean, labels?={name=text}, forget_labels?={name,…},
--   force?=boolean} → {name, outcome="created"|"updated"|"unchanged"}
--
-- `force`: also of a node of which nothing is known.
function M.set(agent, request)
  if store.is_missing(agent, request) then return end
  local params = request.params
  local fault = fault_of(params)
  if fault then return request:fail("bad_request", fault) end
  local name = params.name
  local what = ('what is wanted of node "%s"'):format(name)
  local function change(entry)
    local document = {}
    if entry and entry.value and entry.value ~= "" then document = json.decode(entry.value) end
    if not fields.is_object(document) then
      return nil, "failed", ('node/%s in Consul is no JSON object; delete that key and try again'):format(name)
    end
    local before = json.encode(document)
    local after = changed(document, params)
    local text = json.encode(after)
    if text == before then return true end
    return next(after) and text or modify.REMOVE
  end
  local function confirm_drain(_, text, continue)
    if not params.drain or text == modify.REMOVE then return continue() end
    confirm.of_change(agent, "node-" .. name, confirmation.node(name), text, continue)
  end
  local function go()
    modify.document(agent, request, { name = name, key = "node/" .. name, what = what, confirm = confirm_drain }, change)
  end
  if params.force then return go() end
  when_known(agent, request, name, go)
end

return M
