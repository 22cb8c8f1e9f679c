--- Task documents as commands read them from files.

local application = require("appmgr.application")
local documents = require("appmgr.cli.documents")
local json = require("appmgr.json")
local names = require("appmgr.names")
local task = require("appmgr.task")

local M = {}

--- What Consul takes as one value.
local MAX_BYTES <const> = 512 * 1024

--- The name of the task that a document describes.
local function name_in(document)
  if type(document) ~= "table" or json.is_array(document) then return nil, "is no JSON object" end
  local content = document.content
  if type(content) ~= "table" then
    return nil, 'has no "content": ' .. task.instead(document, "content", "the application to run")
  end
  if content.name == nil then return nil, "content.name: is missing; " .. application.instead(content, "name", "it names the task") end
  local ok, err = names.check(content.name, "content.name")
  if not ok then return nil, err end
  return content.name
end

--- Reads and checks one document.
-- @treturn[1] table {name, document, warnings}
-- @treturn[2] nil
-- @treturn[2] {string,...} what is wrong, each complete
local function read_task(context, path)
  local shown = documents.shown(path)
  local document, text = documents.read(context, path, MAX_BYTES, "that Consul takes as one value")
  if document == nil then return nil, { text } end
  local name, name_error = name_in(document)
  if not name then return nil, { ("%s: %s"):format(shown, name_error) } end
  local parsed, findings = task.parse(name, text, json, context.core.codec)
  local place = ('%s: task "%s": '):format(shown, name)
  if not parsed then
    local errors = {}
    for i, err in ipairs(findings.errors) do errors[i] = place .. err end
    return nil, errors
  end
  local warnings = {}
  for _, warning in ipairs(findings.warnings) do warnings[#warnings + 1] = place .. warning end
  for _, field in ipairs(parsed.unsupported) do
    warnings[#warnings + 1] = place .. field .. ": this version cannot honour it; the task stays pending"
  end
  return { name = name, document = text, warnings = warnings }
end

--- Reads all documents; says everything that is wrong with any of them.
-- @tparam table context of the command line
-- @tparam {string,...} paths "-" is the standard input
-- @treturn ?{table,...} the tasks {name, document, warnings}, nil when one is wrong
function M.read_all(context, paths)
  local tasks, by_name, wrong = {}, {}, false
  for _, path in ipairs(paths) do
    local one, errors = read_task(context, path)
    if one and by_name[one.name] then
      errors = { ('%s: task "%s" stands in %s already'):format(path, one.name, by_name[one.name]) }
    end
    for _, err in ipairs(errors or {}) do
      context:fail(err)
      wrong = true
    end
    if one then
      tasks[#tasks + 1], by_name[one.name] = one, path
    end
  end
  return not wrong and tasks or nil
end

return M
