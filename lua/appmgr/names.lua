--- Names of nodes, tasks, applications and labels.
--
-- A name becomes a Consul key, a file name and a word on a command line, so
-- one narrow rule fits all three. Consul treats a slash as a level and answers
-- `..` with a redirect; neither may ever come from a document.
local M = {}

--- Longest name, in bytes: `<name>#<k>.log` must stay a legal file name.
M.MAX_BYTES = 128

local MAX_SHOWN <const> = 40

--- The beginning of a text that ends where a character ends.
local function whole_characters(text, bytes)
  local last = utf8.offset(text, 0, math.min(bytes, #text) + 1)
  return last and text:sub(1, last - 1) or text
end

--- For messages, which end up in logs, on terminals and in JSON: no control characters, nothing but UTF-8.
local function quoted(name)
  local shown = name
  if not utf8.len(shown) then shown = shown:gsub("[\x80-\xff]", "?") end
  if #shown > MAX_SHOWN then shown = whole_characters(shown, MAX_SHOWN) .. "…" end
  shown = shown:gsub("%c", function(byte) return ("\\x%02x"):format(byte:byte()) end)
  return '"' .. shown .. '"'
end

--- The character at a byte; the byte itself where the name is no UTF-8.
local function character_at(name, position)
  return utf8.len(name) and name:match(utf8.charpattern, position) or name:sub(position, position)
end

local function check(name, what, pattern, allowed)
  if type(name) ~= "string" then
    return nil, ("%s must be a string, not %s"):format(what, type(name))
  end
  if name == "" then
    return nil, what .. " must not be empty"
  end
  if #name > M.MAX_BYTES then
    return nil, ("%s %s is %d bytes long; at most %d are allowed"):format(what, quoted(name), #name, M.MAX_BYTES)
  end
  local bad = name:find(pattern)
  if bad then
    return nil, ("%s %s holds %s; allowed are %s"):format(what, quoted(name), quoted(character_at(name, bad)), allowed)
  end
  if name == "." or name:find("..", 1, true) then
    return nil, ('%s %s cannot be used: it must not be "." and not hold ".."'):format(what, quoted(name))
  end
  return true
end

--- Whether a node, task or application may be called so.
-- @param name any value, usually from a document or a key
-- @tparam[opt="name"] string what what it names, for the message
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why not
function M.check(name, what)
  return check(name, what or "name", "[^A-Za-z0-9._-]", "letters, digits, \".\", \"_\" and \"-\"")
end

--- Whether a label may be called so: names, and `/` for domains (`example.org/rack`).
-- @param name any value
-- @treturn[1] boolean true
-- @treturn[2] nil
-- @treturn[2] string why not
function M.check_label(name)
  return check(name, "label", "[^A-Za-z0-9._/-]", "letters, digits, \".\", \"_\", \"-\" and \"/\"")
end

return M
