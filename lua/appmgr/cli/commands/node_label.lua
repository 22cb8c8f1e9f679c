--- `appmgr node label`: give a node labels, or take them away.

local names = require("appmgr.names")
local node_change = require("appmgr.cli.node_change")

local TEXT = [[
appmgr node label NODE LABEL...
Give a node labels: "zone=b" sets one, "zone-" takes back what was set here.

They win over the labels in the node's own configuration, and hold until they are taken back. A task
whose condition or constraints a node no longer meets leaves it.

  --force          also of a node that has never been there
  --json           for programs]]

--- Reads "zone=b" or "zone-" into the change.
-- @treturn ?string what is wrong with it
local function take(word, change)
  local name, value = word:match("^([^=]+)=(.*)$")
  if not name then name = word:match("^(.+)%-$") end
  if not name then return ('"%s" is neither NAME=VALUE nor NAME-'):format(word) end
  local ok, reason = names.check_label(name)
  if not ok then return reason end
  if value then
    change.labels = change.labels or {}
    change.labels[name] = value
  else
    change.forget_labels = change.forget_labels or {}
    table.insert(change.forget_labels, name)
  end
  return nil
end

local function run(context, arguments)
  local change = {}
  for _, word in ipairs(arguments.label) do
    local wrong = take(word, change)
    if wrong then return context:misuse(wrong, "appmgr node label --help") end
  end
  return node_change.run(context, arguments, change, "%s labelled", "%s unchanged: it has these labels already")
end

return { text = TEXT, speaks_to_agent = true, run = run }
