--- Lua's pattern functions, written in Lua: what they do in C no hook can interrupt, and a pattern
-- such as ("a*"):rep(30) .. "b" runs there for ever. Here the sandbox counts and slices it like
-- any other Lua code.
--
-- Same arguments, results and errors as string.find, match, gmatch and gsub of Lua 5.4; the spec
-- compares them. Slower by a factor of some ten, which no operator at a prompt notices.

local M = {}

local byte, find, sub = string.byte, string.find, string.sub

local MAX_CAPTURES <const> = 32
--- As in Lua: how deep a pattern may branch.
local MAX_DEPTH <const> = 200
--- Length of a capture that has begun, and of one that stands for a position.
local UNFINISHED <const>, POSITION <const> = -1, -2

local DOLLAR <const>, PERCENT <const>, OPEN <const>, CLOSE <const> = byte("$%()", 1, 4)
local STAR <const>, PLUS <const>, MINUS <const>, QUESTION <const> = byte("*+-?", 1, 4)
local BRACKET <const>, CLOSE_BRACKET <const>, CARET <const>, DOT <const> = byte("[]^.", 1, 4)
local LETTER_B <const>, LETTER_F <const>, ZERO <const>, NINE <const> = byte("bf09", 1, 4)

--- Where the single character class at `p` ends (the position after it).
local function class_end(pattern, p)
  local c = byte(pattern, p)
  p = p + 1
  if c == PERCENT then
    if p > #pattern then error("malformed pattern (ends with '%')", 0) end
    return p + 1
  elseif c ~= BRACKET then
    return p
  end
  if byte(pattern, p) == CARET then p = p + 1 end
  repeat
    if p > #pattern then error("malformed pattern (missing ']')", 0) end
    c, p = byte(pattern, p), p + 1
    if c == PERCENT then p = p + 1 end
  until byte(pattern, p) == CLOSE_BRACKET
  return p + 1
end

--- Whether a byte belongs to the class pattern[p, ep). C is asked, about one byte, once.
local function belongs(state, c, p, ep)
  if ep == p + 1 then
    local literal = byte(state.pattern, p)
    return literal == DOT or literal == c
  end
  local class = state.classes[p]
  if not class then
    class = { text = "^" .. sub(state.pattern, p, ep - 1) }
    state.classes[p] = class
  end
  local known = class[c]
  if known == nil then
    known = find(string.char(c), class.text) ~= nil
    class[c] = known
  end
  return known
end

local function matches_one(state, s, p, ep)
  local c = byte(state.subject, s)
  return c ~= nil and belongs(state, c, p, ep)
end

local match

--- As many as there are, then fewer until the rest matches.
local function expand_most(state, s, p, ep)
  local count = 0
  while matches_one(state, s + count, p, ep) do count = count + 1 end
  for i = count, 0, -1 do
    local stop = match(state, s + i, ep + 1)
    if stop then return stop end
  end
  return nil
end

--- As few as possible, then more until the rest matches.
local function expand_least(state, s, p, ep)
  while true do
    local stop = match(state, s, ep + 1)
    if stop then return stop end
    if not matches_one(state, s, p, ep) then return nil end
    s = s + 1
  end
end

local function start_capture(state, s, p, length)
  if state.level >= MAX_CAPTURES then error("too many captures", 0) end
  state.level = state.level + 1
  state.captures[state.level] = { start = s, length = length }
  local stop = match(state, s, p)
  if not stop then state.level = state.level - 1 end
  return stop
end

local function end_capture(state, s, p)
  local open
  for level = state.level, 1, -1 do
    if state.captures[level].length == UNFINISHED then
      open = state.captures[level]
      break
    end
  end
  if not open then error("invalid pattern capture", 0) end
  open.length = s - open.start
  local stop = match(state, s, p)
  if not stop then open.length = UNFINISHED end
  return stop
end

--- %b(): balanced text that begins at `s`.
local function match_balance(state, s, p)
  local opening, closing = byte(state.pattern, p, p + 1)
  if not closing then error("malformed pattern (missing arguments to '%b')", 0) end
  if byte(state.subject, s) ~= opening then return nil end
  local depth = 1
  for at = s + 1, #state.subject do
    local c = byte(state.subject, at)
    if c == closing then
      depth = depth - 1
      if depth == 0 then return at + 1 end
    elseif c == opening then
      depth = depth + 1
    end
  end
  return nil
end

--- %f[set]: the border where the set begins. Returns the position in the pattern after it.
local function match_frontier(state, s, p)
  if byte(state.pattern, p) ~= BRACKET then error("missing '[' after '%f' in pattern", 0) end
  local ep = class_end(state.pattern, p)
  local before, after = s > 1 and byte(state.subject, s - 1) or 0, byte(state.subject, s) or 0
  return not belongs(state, before, p, ep) and belongs(state, after, p, ep) and ep or nil
end

--- %1: the text of an earlier capture again. Returns the position after it.
local function match_back_reference(state, s, digit)
  local capture = state.captures[digit - ZERO]
  if digit == ZERO or digit - ZERO > state.level or capture.length == UNFINISHED then
    error(("invalid capture index %%%d in pattern"):format(digit - ZERO), 0)
  end
  local text = sub(state.subject, capture.start, capture.start + capture.length - 1)
  return sub(state.subject, s, s + #text - 1) == text and s + #text or nil
end

--- What follows a % that is no class: its kind of step.
-- @treturn boolean whether it was one
-- @treturn ?integer new position in the subject; nil when it does not match
-- @treturn ?integer new position in the pattern
local function match_special(state, s, p)
  local c = byte(state.pattern, p + 1)
  if c == LETTER_B then
    return true, match_balance(state, s, p + 2), p + 4
  elseif c == LETTER_F then
    local next_p = match_frontier(state, s, p + 2)
    return true, next_p and s, next_p
  elseif c and c >= ZERO and c <= NINE then
    return true, match_back_reference(state, s, c), p + 2
  end
  return false
end

--- One class with what repeats it.
-- @treturn boolean whether the matching is decided by it
-- @treturn ?integer the end of the match (decided), or the new position in the subject
-- @treturn ?integer new position in the pattern (not decided)
local function match_class(state, s, p)
  local ep = class_end(state.pattern, p)
  local suffix = byte(state.pattern, ep)
  if suffix == STAR then
    return true, expand_most(state, s, p, ep)
  elseif suffix == MINUS then
    return true, expand_least(state, s, p, ep)
  end
  local first = matches_one(state, s, p, ep)
  if suffix == PLUS then
    return true, first and expand_most(state, s + 1, p, ep) or nil
  elseif suffix == QUESTION then
    local stop = first and match(state, s + 1, ep + 1)
    if stop then return true, stop end
    return false, s, ep + 1
  elseif first then
    return false, s + 1, ep
  end
  return true, nil
end

--- Matches pattern from `p` at `s` of the subject; returns the position after the match, or nil.
local function match_here(state, s, p)
  local pattern = state.pattern
  while p <= #pattern do
    local c = byte(pattern, p)
    if c == OPEN then
      if byte(pattern, p + 1) == CLOSE then return start_capture(state, s, p + 2, POSITION) end
      return start_capture(state, s, p + 1, UNFINISHED)
    elseif c == CLOSE then
      return end_capture(state, s, p + 1)
    elseif c == DOLLAR and p == #pattern then
      return s == #state.subject + 1 and s or nil
    end
    local special, next_s, next_p = false, nil, nil
    if c == PERCENT then special, next_s, next_p = match_special(state, s, p) end
    if special and not next_s then return nil end
    if not special then
      local decided
      decided, next_s, next_p = match_class(state, s, p)
      if decided then return next_s end
    end
    s, p = next_s, next_p
  end
  return s
end

function match(state, s, p)
  state.depth = state.depth + 1
  if state.depth > MAX_DEPTH then error("pattern too complex", 0) end
  local stop = match_here(state, s, p)
  state.depth = state.depth - 1
  return stop
end

local function new_state(subject, pattern)
  return { subject = subject, pattern = pattern, classes = {}, captures = {}, level = 0, depth = 0 }
end

--- Tries at one place, with nothing captured yet.
local function try(state, s, p)
  state.level, state.depth = 0, 0
  return match(state, s, p)
end

local function capture_value(state, index)
  local capture = state.captures[index]
  if capture.length == POSITION then return capture.start end
  if capture.length == UNFINISHED then error("unfinished capture", 0) end
  return sub(state.subject, capture.start, capture.start + capture.length - 1)
end

--- All captures of a match; without any the whole match, unless `whole` is false.
local function captured(state, s, stop, whole)
  if state.level == 0 then
    if whole then return sub(state.subject, s, stop - 1) end
    return
  end
  local values = {}
  for i = 1, state.level do values[i] = capture_value(state, i) end
  return table.unpack(values, 1, state.level)
end

local function text_argument(value, position, name)
  local kind = math.type(value) or type(value)
  if kind == "string" then return value end
  if kind == "integer" or kind == "float" then return tostring(value) end
  error(("bad argument #%d to '%s' (string expected, got %s)"):format(position, name, value == nil and "no value" or kind), 3)
end

--- A start position as the string functions take it, at least 1.
local function start_position(init, length)
  init = init or 1
  if init > 0 then return init end
  return init == 0 and 1 or math.max(1, length + init + 1)
end

--- Finds the first match from `init` on.
-- @treturn ?table state; nil when there is none
local function search(subject, pattern, init)
  local anchored = byte(pattern, 1) == CARET
  local state = new_state(subject, pattern)
  for s = init, anchored and init or #subject + 1 do
    local stop = try(state, s, anchored and 2 or 1)
    if stop then return state, s, stop end
  end
  return nil
end

--- string.find
function M.find(subject, pattern, init, plain)
  subject, pattern = text_argument(subject, 1, "find"), text_argument(pattern, 2, "find")
  init = start_position(init, #subject)
  if init > #subject + 1 then return nil end
  if plain or not find(pattern, "[%^%$%*%+%?%.%(%[%%%-]") then return find(subject, pattern, init, true) end
  local state, s, stop = search(subject, pattern, init)
  if not state then return nil end
  return s, stop - 1, captured(state, s, stop, false)
end

--- string.match
function M.match(subject, pattern, init)
  subject, pattern = text_argument(subject, 1, "match"), text_argument(pattern, 2, "match")
  init = start_position(init, #subject)
  if init > #subject + 1 then return nil end
  local state, s, stop = search(subject, pattern, init)
  if not state then return nil end
  return captured(state, s, stop, true)
end

--- string.gmatch
function M.gmatch(subject, pattern, init)
  subject, pattern = text_argument(subject, 1, "gmatch"), text_argument(pattern, 2, "gmatch")
  local state, s, last = new_state(subject, pattern), start_position(init, #subject), nil
  return function()
    while s <= #subject + 1 do
      local stop = try(state, s, 1)
      if stop and stop ~= last then
        local from = s
        s, last = stop, stop
        return captured(state, from, stop, true)
      end
      s = s + 1
    end
    return nil
  end
end

--- The replacement text of gsub with %1, %0 and %% filled in.
local function fill_in(state, s, stop, template)
  local parts, at = {}, 1
  while true do
    local mark = find(template, "%", at, true)
    parts[#parts + 1] = sub(template, at, (mark or 0) - 1)
    if not mark then return table.concat(parts) end
    local c = sub(template, mark + 1, mark + 1)
    if c == "%" then
      parts[#parts + 1] = "%"
    elseif c == "0" or (c == "1" and state.level == 0) then
      parts[#parts + 1] = sub(state.subject, s, stop - 1)
    elseif find(c, "^%d$") then
      if tonumber(c) > state.level then error(("invalid capture index %%%s"):format(c), 0) end
      parts[#parts + 1] = capture_value(state, tonumber(c))
    else
      error("invalid use of '%' in replacement string", 0)
    end
    at = mark + 2
  end
end

local function replacement_of(state, s, stop, replacement)
  local value
  if type(replacement) == "table" then
    value = replacement[(captured(state, s, stop, true))]
  elseif type(replacement) == "function" then
    value = replacement(captured(state, s, stop, true))
  else
    return fill_in(state, s, stop, tostring(replacement))
  end
  if not value then return sub(state.subject, s, stop - 1) end
  if type(value) ~= "string" and type(value) ~= "number" then
    error(("invalid replacement value (a %s)"):format(type(value)), 0)
  end
  return tostring(value)
end

local REPLACEMENTS <const> = { string = true, number = true, table = true, ["function"] = true }

--- string.gsub
function M.gsub(subject, pattern, replacement, limit)
  subject, pattern = text_argument(subject, 1, "gsub"), text_argument(pattern, 2, "gsub")
  if not REPLACEMENTS[type(replacement)] then
    error(("bad argument #3 to 'gsub' (string/function/table expected, got %s)"):format(type(replacement)), 2)
  end
  local anchored = byte(pattern, 1) == CARET
  local state, parts, count, s, last = new_state(subject, pattern), {}, 0, 1, nil
  limit = limit or math.huge
  while count < limit do
    local stop = try(state, s, anchored and 2 or 1)
    if stop and stop ~= last then
      count = count + 1
      parts[#parts + 1] = replacement_of(state, s, stop, replacement)
      s, last = stop, stop
    elseif s <= #subject then
      parts[#parts + 1] = sub(subject, s, s)
      s = s + 1
    else
      break
    end
    if s > #subject + 1 or anchored then break end
  end
  parts[#parts + 1] = sub(subject, s)
  return table.concat(parts), count
end

return M
