--- Turns any Lua value into text that a person can read.
--
-- Keys are sorted, cycles are named, what is deep or long is cut and says how to see more. No
-- metamethod is ever called, so that printing a value has no effects and cannot fail.

local M = {}

local DEFAULT_DEPTH <const> = 4
local DEFAULT_ITEMS <const> = 60
local MAX_STRING_BYTES <const> = 2000
local LINE_WIDTH <const> = 100
--- Members up to this length share lines.
local SHORT_MEMBER <const> = 16
local KEY_PATTERN <const> = "^[%a_][%w_]*$"

local RESERVED = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
  return then true until while]]):gmatch("%a+") do
  RESERVED[word] = true
end

local TYPE_ORDER <const> = { number = 1, string = 2, boolean = 3 }

local ESCAPES <const> = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"' }

--- A quoted string; bytes that are not UTF-8 text are escaped.
local function quote(text, limit)
  local rest = ""
  if #text > limit then
    rest = (" … %d more bytes"):format(#text - limit)
    text = text:sub(1, limit)
    if not utf8.len(text) then text = text:gsub("[\xC0-\xFF][\x80-\xBF]*$", "") end
  end
  text = text:gsub('[%c\\"]', function(byte)
    return ESCAPES[byte] or ("\\x%02x"):format(byte:byte())
  end)
  if not utf8.len(text) then
    text = text:gsub("[\x80-\xFF]", function(byte) return ("\\x%02x"):format(byte:byte()) end)
  end
  return '"' .. text .. '"' .. rest
end

local function scalar(value)
  local kind = math.type(value) or type(value)
  if kind == "string" then return quote(value, MAX_STRING_BYTES) end
  if kind == "float" and value == math.floor(value) and math.abs(value) < 1e15 then
    return ("%.1f"):format(value)
  end
  if kind == "integer" or kind == "float" or kind == "boolean" or kind == "nil" then return tostring(value) end
  return ("<%s %p>"):format(kind, value)
end

local function key_text(key)
  if type(key) == "string" and key:match(KEY_PATTERN) and not RESERVED[key] then return key end
  if type(key) == "table" then return ("[<table %p>]"):format(key) end
  return "[" .. scalar(key) .. "]"
end

local function address_or_name(key)
  return type(key) == "boolean" and tostring(key) or ("%p"):format(key)
end

local function before(left, right)
  local left_order, right_order = TYPE_ORDER[type(left)] or 4, TYPE_ORDER[type(right)] or 4
  if left_order ~= right_order then return left_order < right_order end
  if left_order <= 2 then return left < right end
  return address_or_name(left) < address_or_name(right)
end

local function sorted_keys(value, length)
  local keys = {}
  for key in next, value do
    local in_sequence = math.type(key) == "integer" and key >= 1 and key <= length
    if not in_sequence then keys[#keys + 1] = key end
  end
  table.sort(keys, before)
  return keys
end

local format

local function members(value, limits, depth, path)
  local length, parts = rawlen(value), {}
  local keys = sorted_keys(value, length)
  for i = 1, math.min(length, limits.items) do
    parts[i] = format(rawget(value, i), limits, depth + 1, path)
  end
  local shown = #parts
  for i = 1, math.min(#keys, limits.items - shown) do
    local key = keys[i]
    parts[#parts + 1] = key_text(key) .. " = " .. format(rawget(value, key), limits, depth + 1, path)
  end
  return parts, length + #keys - #parts
end

--- Joins short members so that as many as fit stand in one line.
local function fill_lines(parts, indent)
  local lines, line = {}, nil
  for i, part in ipairs(parts) do
    local piece = part .. (i < #parts and "," or "")
    if line and #line + #piece + 1 + #indent <= LINE_WIDTH then
      line = line .. " " .. piece
    else
      lines[#lines + 1] = line
      line = piece
    end
  end
  lines[#lines + 1] = line
  return lines
end

local function all_short(parts)
  for _, part in ipairs(parts) do
    if #part > SHORT_MEMBER then return false end
  end
  return true
end

local function lay_out(parts, depth)
  local one_line = "{ " .. table.concat(parts, ", ") .. " }"
  if #one_line + 2 * depth <= LINE_WIDTH and not one_line:find("\n", 1, true) then return one_line end
  local indent = ("  "):rep(depth + 1)
  local inside = all_short(parts) and table.concat(fill_lines(parts, indent), "\n" .. indent)
    or table.concat(parts, ",\n" .. indent)
  return "{\n" .. indent .. inside .. "\n" .. ("  "):rep(depth) .. "}"
end

function format(value, limits, depth, path)
  if type(value) ~= "table" then return scalar(value) end
  if path[value] then return "<the table around it>" end
  if next(value) == nil then return "{}" end
  if depth >= limits.depth then
    limits.cut = true
    return "{…}"
  end
  path[value] = true
  local parts, left = members(value, limits, depth, path)
  path[value] = nil
  if left > 0 then
    limits.cut = true
    parts[#parts + 1] = ("… %d more"):format(left)
  end
  return lay_out(parts, depth)
end

--- Formats one value.
-- @tparam any value
-- @tparam[opt=4] integer depth how many tables deep to look
-- @tparam[opt=60] integer items how many members of each table to show
-- @treturn string text of one or more lines
-- @treturn boolean whether something was left out
function M.format(value, depth, items)
  local limits = {
    depth = depth or DEFAULT_DEPTH,
    items = items or DEFAULT_ITEMS,
    cut = false,
  }
  local text = format(value, limits, 0, {})
  return text, limits.cut
end

return M
