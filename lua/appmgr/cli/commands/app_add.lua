--- `appmgr app add`: add local applications, or change those that were added.

local application = require("appmgr.application")
local change = require("appmgr.cli.change")
local documents = require("appmgr.cli.documents")
local json = require("appmgr.json")

local TEXT = [[
appmgr app add FILE...
Add applications to this node, or change those that were added ("-" reads one from the standard input).

A document is an application as in the configuration's "Applications". All documents are checked before
the first is added. What is added is kept across restarts of the agent; "app rm" removes it.

  --json           for programs]]

--- What fits in a request to the agent, escaped, also when it is the only one.
local MAX_BYTES <const> = 256 * 1024

--- Reads and checks one document.
-- @treturn ?string its text
-- @treturn ?string the application's name, or all that is wrong, one line each
local function read_one(context, path)
  local document, text = documents.read(context, path, MAX_BYTES, "that an application's document may have")
  if document == nil then return nil, text end
  local key, line = json.duplicate(text)
  if key then
    return nil, ("%s:%d: \"%s\" stands twice in one object; remove one of them"):format(documents.shown(path), line, key)
  end
  local app, errors = application.read_local(document)
  if app then return text, app.name end
  local name = type(document) == "table" and type(document.name) == "string" and ('application "%s": '):format(document.name)
  local lines = {}
  for index, err in ipairs(errors) do lines[index] = ("%s: %s%s"):format(documents.shown(path), name or "", err) end
  return nil, table.concat(lines, "\n")
end

--- @treturn ?{string,...} the texts of all documents, nil when one is wrong
local function read_all(context, paths)
  local texts, by_name, wrong = {}, {}, false
  for _, path in ipairs(paths) do
    local text, name = read_one(context, path)
    local err = not text and name
    if text and by_name[name] then
      err = ('%s: application "%s" stands in %s already'):format(documents.shown(path), name, by_name[name])
    end
    if err then
      context:fail(err)
      wrong = true
    else
      texts[#texts + 1], by_name[name] = text, documents.shown(path)
    end
  end
  return not wrong and texts or nil
end

local WORD = { created = "added", updated = "changed", unchanged = "unchanged" }

local function run(context, arguments)
  local texts = read_all(context, arguments.file)
  if not texts then
    context:warn("nothing was added")
    return 1
  end
  return change.together(context, arguments, "app.add", "documents", texts, function(result)
    return ('application "%s" %s'):format(result.name, WORD[result.outcome] or result.outcome)
  end)
end

return { text = TEXT, speaks_to_agent = true, run = run }
