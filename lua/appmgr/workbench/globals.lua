--- Which global names a Lua text reads and sets, and where: what a reader of the text may overlook, and what would
-- only show when that line runs.
--
-- Exact, because Lua's own compiler is asked: each use of a global is one instruction that names it in the compiled
-- chunk. The format of such a chunk is Lua 5.4's (ldump.c, lopcodes.h); it is only read, never loaded.

local M = {}

local HEADER <const> = "\27Lua\x54\0\x19\x93\r\n\x1a\n\4\8\8"
-- After the header: the integer and the float that show the machine's formats, and the number of upvalues.
local FIRST_FUNCTION <const> = #HEADER + 8 + 8 + 1 + 1
local GETTABUP <const>, GETFIELD <const>, SETTABUP <const> = 11, 14, 15
-- In the table of lines: the line of this instruction stands in the table of absolute ones.
local ABSOLUTE <const> = -128

local Reader = {}
Reader.__index = Reader

function Reader:byte()
  local value = self.bytes:byte(self.at)
  self.at = self.at + 1
  return value
end

-- Seven bits a byte, the most significant first; the last one is marked.
function Reader:size()
  local value = 0
  while true do
    local byte = self:byte()
    value = value << 7 | byte & 0x7f
    if byte & 0x80 ~= 0 then return value end
  end
end

function Reader:text()
  local size = self:size()
  if size == 0 then return nil end
  local text = self.bytes:sub(self.at, self.at + size - 2)
  self.at = self.at + size - 1
  return text
end

function Reader:list(read)
  local list = {}
  for position = 1, self:size() do list[position] = read(self) or false end
  return list
end

local function read_instruction(reader)
  local value
  value, reader.at = string.unpack("<I4", reader.bytes, reader.at)
  return { op = value & 0x7f, a = value >> 7 & 0xff, b = value >> 16 & 0xff, c = value >> 24 & 0xff }
end

local CONSTANT <const> = {
  [0x03] = function(reader) reader.at = reader.at + 8 end,
  [0x13] = function(reader) reader.at = reader.at + 8 end,
  [0x04] = Reader.text,
  [0x14] = Reader.text,
}

-- Only names matter: numbers, booleans and nil are false.
local function read_constant(reader)
  local read = CONSTANT[reader:byte()]
  return read and read(reader)
end

local function skip_upvalue(reader)
  reader.at = reader.at + 3
end

local function read_delta(reader)
  local value = reader:byte()
  return value > 127 and value - 256 or value
end

local function read_pair(reader)
  return { pc = reader:size(), line = reader:size() }
end

local function skip_variable(reader)
  reader:text()
  reader:size()
  reader:size()
end

local function lines_of(first, deltas, absolute)
  local known, lines, line = {}, {}, first
  for _, pair in ipairs(absolute) do known[pair.pc + 1] = pair.line end
  for pc, delta in ipairs(deltas) do
    line = delta == ABSOLUTE and known[pc] or line + delta
    lines[pc] = line
  end
  return lines
end

local function read_function(reader)
  reader:text()
  local first = reader:size()
  reader:size()
  reader.at = reader.at + 3
  local proto = { code = reader:list(read_instruction), constants = reader:list(read_constant) }
  reader:list(skip_upvalue)
  proto.inner = reader:list(read_function)
  local deltas, absolute = reader:list(read_delta), reader:list(read_pair)
  proto.lines = lines_of(first, deltas, absolute)
  reader:list(skip_variable)
  proto.upvalues = reader:list(Reader.text)
  return proto
end

-- `string.rep` is two instructions: the global into a register, the field out of that register.
local function member_after(proto, pc)
  local this, following = proto.code[pc], proto.code[pc + 1]
  if following and following.op == GETFIELD and following.b == this.a then
    return proto.constants[following.c + 1] or nil
  end
end

local function collect(proto, uses)
  for pc, instruction in ipairs(proto.code) do
    local line = proto.lines[pc]
    if instruction.op == GETTABUP and proto.upvalues[instruction.b + 1] == "_ENV" then
      local name = proto.constants[instruction.c + 1]
      uses[#uses + 1] = { name = name, member = member_after(proto, pc), line = line, kind = "read" }
    elseif instruction.op == SETTABUP and proto.upvalues[instruction.a + 1] == "_ENV" then
      uses[#uses + 1] = { name = proto.constants[instruction.b + 1], line = line, kind = "set" }
    end
  end
  for _, inner in ipairs(proto.inner) do collect(inner, uses) end
end

--- The uses of globals in a Lua text, which is compiled and never run.
-- @tparam string text
-- @tparam string name for the message
-- @treturn[1] {table,...} by line: `name`, `member` (the field read from it at once: "rep" of `string.rep`), `line`,
--   `kind` ("read" or "set")
-- @treturn[2] nil
-- @treturn[2] string the syntax error, with its line
function M.uses(text, name)
  local chunk, reason = load(text, "=" .. name, "t", {})
  if not chunk then return nil, reason end
  local bytes = string.dump(chunk)
  assert(bytes:sub(1, #HEADER) == HEADER, "compiled chunks of this Lua have another format")
  local uses = {}
  collect(read_function(setmetatable({ bytes = bytes, at = FIRST_FUNCTION }, Reader)), uses)
  table.sort(uses, function(a, b)
    if a.line ~= b.line then return a.line < b.line end
    return a.name .. "." .. (a.member or "") < b.name .. "." .. (b.member or "")
  end)
  return uses
end

return M
