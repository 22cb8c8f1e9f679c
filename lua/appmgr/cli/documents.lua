--- Documents that a command line names: files, or "-" for the standard input.

local json = require("appmgr.json")

local M = {}

--- What a document is called in messages.
function M.shown(path)
  return path == "-" and "standard input" or path
end

local function read_text(context, path, max_bytes)
  if path == "-" then return context:read_input(max_bytes + 1) end
  local file, err = io.open(path, "rb")
  if not file then return nil, err end
  local text, read_error = file:read(max_bytes + 1)
  file:close()
  if not text and read_error then return nil, ("%s: %s"):format(path, read_error) end
  return text or ""
end

--- Reads a document.
-- @tparam table context
-- @tparam string path
-- @tparam integer max_bytes
-- @tparam string why what the limit is for, after "the N KiB "
-- @treturn[1] string its text
-- @treturn[2] nil
-- @treturn[2] string what is wrong, complete
function M.text(context, path, max_bytes, why)
  local text, err = read_text(context, path, max_bytes)
  if text and #text > max_bytes then
    return nil, ("%s: is larger than the %d KiB %s"):format(M.shown(path), max_bytes // 1024, why)
  end
  return text, err
end

--- Reads and decodes a document.
-- @tparam table context
-- @tparam string path
-- @tparam integer max_bytes
-- @tparam string why what the limit is for, after "the N KiB "
-- @return[1] the decoded value, never nil
-- @treturn[1] string its text
-- @treturn[2] nil
-- @treturn[2] string what is wrong, complete
function M.read(context, path, max_bytes, why)
  local text, err = M.text(context, path, max_bytes, why)
  if not text then return nil, err end
  local document, decode_error = json.decode(text)
  if document == nil then return nil, ("%s: is no JSON: %s"):format(M.shown(path), decode_error or "null") end
  return document, text
end

return M
