--- Versions, compared as people read them: `1.10` is later than `1.9`.
--
-- Numbers divided by points, what is missing is 0, a `v` in front says nothing.
-- A suffix that names a version to come (`-rc1`, `-beta.2`) makes it earlier
-- than the version itself. Any other (`+build`, `-21-amd64`, the way kernels
-- are called) is not looked at: it belongs to who packed it.
local M = {}

local MAX_BYTES <const> = 256

local BEFORE = { alpha = true, a = true, beta = true, b = true, dev = true, pre = true, preview = true, rc = true,
  snapshot = true, canary = true, nightly = true }

--- Digits without zeros in front: compared by length and then as text they are
-- compared as numbers, however many there are.
local function plain(digits)
  return (digits:gsub("^0+(%d)", "%1"))
end

local function compare_digits(a, b)
  if #a ~= #b then return #a < #b and -1 or 1 end
  if a == b then return 0 end
  return a < b and -1 or 1
end

local function read_suffix(suffix)
  local word = suffix:match("^[-~.]?(%a+)")
  if not word or not BEFORE[word:lower()] then return nil end
  local parts = {}
  for letters, digits in suffix:lower():gsub("%+.*$", ""):gmatch("(%a*)(%d*)") do
    if letters ~= "" then parts[#parts + 1] = letters end
    if digits ~= "" then parts[#parts + 1] = plain(digits) end
  end
  return parts
end

--- Reads a version.
-- @param text any value
-- @treturn[1] table to be compared with `compare`
-- @treturn[2] nil when it is none
function M.read(text)
  text = type(text) == "string" and text:match("^%s*[vV]?(%d.-)%s*$")
  if not text or #text > MAX_BYTES then return nil end
  local numbers, suffix = text:match("^([%d.]+)(.*)$")
  -- The point before a word belongs to the word: 1.2.rc1
  if suffix ~= "" and numbers:sub(-1) == "." then numbers, suffix = numbers:sub(1, -2), "." .. suffix end
  if numbers:find("..", 1, true) or numbers:sub(-1) == "." then return nil end
  if suffix ~= "" and not suffix:find("^[-+~._%a]") then return nil end
  local version = { before = read_suffix(suffix) }
  for digits in numbers:gmatch("%d+") do version[#version + 1] = plain(digits) end
  return version
end

local function compare_part(a, b)
  if a == b then return 0 end
  if a == nil or b == nil then return a == nil and -1 or 1 end
  local a_is_number, b_is_number = a:find("^%d") ~= nil, b:find("^%d") ~= nil
  if a_is_number ~= b_is_number then return a_is_number and -1 or 1 end
  if a_is_number then return compare_digits(a, b) end
  return a < b and -1 or 1
end

local function compare_before(a, b)
  if not a and not b then return 0 end
  if not a or not b then return a and -1 or 1 end
  for position = 1, math.max(#a, #b) do
    local order = compare_part(a[position], b[position])
    if order ~= 0 then return order end
  end
  return 0
end

--- Compares two versions.
-- @tparam table a from `read`
-- @tparam table b
-- @treturn integer -1, 0 or 1: a is earlier, the same, later
function M.compare(a, b)
  for position = 1, math.max(#a, #b) do
    local order = compare_digits(a[position] or "0", b[position] or "0")
    if order ~= 0 then return order end
  end
  return compare_before(a.before, b.before)
end

local TESTS = {
  ["="] = function(order) return order == 0 end,
  ["!="] = function(order) return order ~= 0 end,
  ["<"] = function(order) return order < 0 end,
  ["<="] = function(order) return order <= 0 end,
  [">"] = function(order) return order > 0 end,
  [">="] = function(order) return order >= 0 end,
}

--- Reads what a version shall be: `>= 1.9, < 2`; a version alone means `=`.
-- @param text any value
-- @treturn[1] table for `meets`; `text` is the same for all ways to write it
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function M.read_wanted(text)
  if type(text) ~= "string" or not text:find("%S") or #text > MAX_BYTES then
    return nil, 'must be a string with a version, such as ">= 1.9" or ">= 1.9, < 2"'
  end
  local wanted, texts = {}, {}
  for part in (text .. ","):gmatch("(.-),") do
    local operator, rest = part:match("^%s*([<>=!~]*)%s*(.-)%s*$")
    operator = operator == "" and "=" or operator
    local version = M.read(rest)
    if not TESTS[operator] or not version then
      return nil, ('"%s" is no version to compare with; write = != < <= > >= and a version, such as ">= 1.9"'):format(
        part:match("^%s*(.-)%s*$"))
    end
    wanted[#wanted + 1] = { test = TESTS[operator], version = version }
    texts[#texts + 1] = operator .. " " .. rest
  end
  table.sort(texts)
  wanted.text = table.concat(texts, ", ")
  return wanted
end

--- Whether a version is as wanted.
-- @tparam table version from `read`
-- @tparam table wanted from `read_wanted`
-- @treturn boolean
function M.meets(version, wanted)
  for _, part in ipairs(wanted) do
    if not part.test(M.compare(version, part.version)) then return false end
  end
  return true
end

return M
