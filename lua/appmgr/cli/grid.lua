--- Aligned tables for people, and the few number formats that stand in them.

local M = {}

local GAP <const> = "  "

--- How many columns a UTF-8 text takes on a terminal (no wide characters expected here).
local function width(text)
  return utf8.len(text) or #text
end

local function pad(text, columns, to_the_right)
  local spaces = (" "):rep(columns - width(text))
  return to_the_right and spaces .. text or text .. spaces
end

--- A text of somebody else's as it can stand on one line of a terminal: what would move the cursor is written out.
local function printable(text)
  return (text:gsub("%c", function(byte) return byte == "\n" and "\\n" or ("\\x%02x"):format(byte:byte()) end))
end

local function measure(rows, columns)
  local widths = {}
  for column = 1, columns do
    widths[column] = 0
    for _, row in ipairs(rows) do
      widths[column] = math.max(widths[column], width(row[column]))
    end
  end
  return widths
end

--- Lays out rows under a header. Columns whose header starts with ">" are aligned to the right.
-- @tparam {string,...} header
-- @tparam {{string|number|nil,...},...} rows absent cells show "-"
-- @treturn string lines without trailing blanks, no newline at the end
function M.format(header, rows)
  local right, lines = {}, { {} }
  for i, title in ipairs(header) do
    right[i] = title:sub(1, 1) == ">"
    lines[1][i] = right[i] and title:sub(2) or title
  end
  for _, row in ipairs(rows) do
    local cells = {}
    for i = 1, #header do
      local cell = row[i]
      cells[i] = (cell == nil or cell == "") and "-" or (tostring(cell):gsub("%c", " "))
    end
    lines[#lines + 1] = cells
  end
  local widths = measure(lines, #header)
  for number, cells in ipairs(lines) do
    for i = 1, #cells do cells[i] = pad(cells[i], widths[i], right[i]) end
    lines[number] = table.concat(cells, GAP):gsub("%s+$", "")
  end
  return table.concat(lines, "\n")
end

--- Lays out names and values, one a line.
-- @tparam {{string, string|number|nil},...} pairs_list pairs without a value are left out
function M.list(pairs_list)
  local longest, lines = 0, {}
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then longest = math.max(longest, width(pair[1])) end
  end
  for _, pair in ipairs(pairs_list) do
    if pair[2] ~= nil then
      lines[#lines + 1] = pad(pair[1], longest) .. GAP .. printable(tostring(pair[2]))
    end
  end
  return table.concat(lines, "\n")
end

local UNITS <const> = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" }

--- A size in bytes: "5.1 MiB".
function M.size(bytes)
  if not bytes then return nil end
  local unit, value = 1, bytes
  while value >= 1024 and unit < #UNITS do
    value, unit = value / 1024, unit + 1
  end
  return (unit == 1 and "%d %s" or "%.1f %s"):format(value, UNITS[unit])
end

--- A length of time: "3 d 4 h", "2 h 10 min", "5 min 3 s", "7 s".
-- @tparam number seconds
function M.duration(seconds)
  if not seconds then return nil end
  seconds = math.floor(seconds)
  local function two(large, large_name, small, small_name)
    if small == 0 then return ("%d %s"):format(large, large_name) end
    return ("%d %s %d %s"):format(large, large_name, small, small_name)
  end
  if seconds >= 86400 then return two(seconds // 86400, "d", seconds % 86400 // 3600, "h") end
  if seconds >= 3600 then return two(seconds // 3600, "h", seconds % 3600 // 60, "min") end
  if seconds >= 60 then return two(seconds // 60, "min", seconds % 60, "s") end
  return ("%d s"):format(seconds)
end

--- "1 task", "3 tasks".
function M.count(number, noun)
  return ("%d %s%s"):format(number, noun, number == 1 and "" or "s")
end

return M
