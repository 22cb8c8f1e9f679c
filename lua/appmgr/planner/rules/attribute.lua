--- What a constraint or an affinity looks at: `label.<name>`, `resource.<name>`,
-- `node.name` or `node.hostname`.
local names = require("appmgr.names")
local suggest = require("appmgr.suggest")

local M = {}

local OF_NODE = { ["node.name"] = "name", ["node.hostname"] = "hostname" }
local KNOWN = { "label.", "resource.", "node.name", "node.hostname" }

--- Reads an attribute as it stands in a document.
-- @param text any value
-- @treturn[1] table `text`, and one of `label`, `resource`, `field`: whose value it is
-- @treturn[2] nil
-- @treturn[2] string why it is none
function M.read(text)
  if type(text) ~= "string" then
    return nil, "must be a string: label.<name>, resource.<name>, node.name or node.hostname"
  end
  if OF_NODE[text] then return { text = text, field = OF_NODE[text] } end
  local kind, name = text:match("^(%a+)%.(.*)$")
  if kind == "label" then
    local ok, reason = names.check_label(name)
    if not ok then return nil, reason end
    return { text = text, label = name }
  end
  if kind == "resource" then
    local ok, reason = names.check(name, "resource")
    if not ok then return nil, reason end
    return { text = text, resource = name }
  end
  local is_label = names.check_label(text)
  local hint = is_label and not text:find("^node%.") and ('write "label.%s" for the label of that name'):format(text)
    or suggest.hint(#text <= names.MAX_BYTES and text or "", KNOWN)
  return nil, "is none of label.<name>, resource.<name>, node.name, node.hostname; " .. hint
end

--- Its value on a node.
-- @tparam table attribute from `read`
-- @tparam table node `name`, `hostname`, `labels`, `capacity`
-- @treturn ?string|integer nil where the node has none
function M.value(attribute, node)
  if attribute.label then return node.labels[attribute.label] end
  if attribute.resource then return node.capacity[attribute.resource] end
  return node[attribute.field]
end

return M
