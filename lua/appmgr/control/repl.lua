--- Lua lines from an operator, evaluated inside the running agent.
--
-- A line is tried as an expression first, then as a statement. It runs in slices of a few
-- milliseconds between which the agent goes on working, and is ended after two seconds. Each
-- connection has an environment of its own: globals that a line sets are there for the next ones,
-- and nobody else sees them. What it can look at are copies: no line can change the agent.

local lua_patterns = require("appmgr.control.lua_patterns")
local printer = require("appmgr.control.printer")
local views = require("appmgr.control.views")

local M = {}

local LIMITS <const> = { deadline_ms = 2000, memory_mb = 64 }
local SLICE_MS <const> = 5
local PAUSE_MS <const> = 1
--- What one line may print.
local MAX_OUTPUT_BYTES <const> = 1024 * 1024
local MAX_CODE_BYTES <const> = 256 * 1024
--- Nobody looks at more values or candidates than this.
local MAX_VALUES <const> = 50
local MAX_CANDIDATES <const> = 200

local CHUNK_NAME <const> = "=repl"

--- The standard functions that a line may call.
local STANDARD <const> = {
  "assert", "error", "ipairs", "next", "pairs", "pcall", "rawequal", "rawget", "rawlen", "rawset", "select",
  "setmetatable", "tonumber", "tostring", "type", "xpcall",
  "coroutine.*", "math.*", "string.*", "table.*", "utf8.*", "os.clock", "os.date", "os.time",
}

local HELP <const> = [=[
Lua runs here inside the agent, one line (or one unfinished construct) at a time: an expression shows
its values, a statement is done. Things to look at, all of them copies made when they are named:

  cluster    this node's view of the cluster: leader, session, problems
  apps       the applications of this node, by name
  config     the configuration in force (tokens and environment values hidden)
  _          the first value of the last expression

  dump(value [, depth [, items]])    print a value further than the usual 4 levels and 60 members
  print(...)                         prints here, not into the agent's log

The agent goes on working while a line runs, in slices of 5 ms; after 2 s a line is ended. One call into
C (sorting a very large table) cannot be sliced, nor what that calls (a comparison, a coroutine, __tostring),
and does hold it up; patterns can.
Names that a line sets are kept until you leave.]=]

--- How many elements one table.move may take.
local MAX_MOVE <const> = 10 * 1000 * 1000

--- What methods of strings are looked up in, for the whole process.
local string_metatable <const> = debug.getmetatable("")

--- Replaces the functions that could run for ever inside C, where nothing interrupts them.
local function bound(environment)
  for name, replacement in pairs(lua_patterns) do environment.string[name] = replacement end
  environment.string.rep = function(text, count, separator)
    if text == "" and (separator or "") == "" then return "" end
    return string.rep(text, count, separator)
  end
  environment.table.move = function(from, first, last, at, to)
    if math.type(first) and math.type(last) and last - first >= MAX_MOVE then
      error(("table.move of more than %d elements"):format(MAX_MOVE), 2)
    end
    return table.move(from, first, last, at, to or from)
  end
end

local function make_print(session)
  return function(...)
    local parts = table.pack(...)
    for i = 1, parts.n do parts[i] = tostring(parts[i]) end
    session.write(table.concat(parts, "\t"))
  end
end

--- Sends output to whoever asked for the line that runs, up to a limit.
local function write(session, text)
  local left = session.output_left
  if left <= 0 then return end
  session.output_left = left - #text
  if #text > left then text = text:sub(1, left) .. ("\n(output cut after %d KiB)"):format(MAX_OUTPUT_BYTES // 1024) end
  session.request:event({ print = text })
end

local Repl = {}
Repl.__index = Repl

function Repl:new_session(agent)
  local session = {}
  session.write = function(text) write(session, text) end
  local environment = self.sandbox.environment(STANDARD)
  bound(environment)
  session.strings = environment.string
  environment._G = environment
  environment.print = make_print(session)
  environment.help = function() session.write(HELP) end
  environment.dump = function(value, depth, items)
    session.write((printer.format(value, depth or 10, items or 1000)))
  end
  session.views = views.new(agent, self.timer.now_ms)
  session.environment = setmetatable(environment, {
    __index = function(_, name)
      local view = session.views[name]
      return view and view()
    end,
  })
  return session
end

function Repl:session(agent, request)
  local session = request.session.repl
  if not session then
    session = self:new_session(agent)
    request.session.repl = session
  end
  return session
end

--- Compiles a line as an expression, else as a statement.
-- @treturn[1] function chunk
-- @treturn[2] nil
-- @treturn[2] string message
-- @treturn[2] boolean whether the text only ends too early
function Repl:compile(code, environment)
  local chunk = self.sandbox.load("return " .. code, CHUNK_NAME, environment)
  if chunk then return chunk end
  local statement, err = self.sandbox.load(code, CHUNK_NAME, environment)
  if statement then return statement end
  return nil, err, err:sub(-5) == "<eof>"
end

--- Runs inside the sandbox, so that formatting a large value counts as well.
local function run_and_format(chunk, environment)
  local values = table.pack(chunk())
  if values.n == 0 then return {} end
  environment._ = values[1]
  local texts, cut = {}, values.n > MAX_VALUES
  for i = 1, math.min(values.n, MAX_VALUES) do
    local text, was_cut = printer.format(values[i])
    texts[i] = text
    cut = cut or was_cut
  end
  return texts, cut
end

--- The part of a traceback that is the operator's own.
local function own_frames(traceback)
  local lines = {}
  for line in (traceback or ""):gmatch("[^\n]+") do
    if line:find("control/repl.lua:", 1, true) then break end
    lines[#lines + 1] = line
  end
  return #lines > 1 and table.concat(lines, "\n") or nil
end

local function prompt(agent)
  return { node = agent.node, leader = views.is_leader(agent) }
end

--- Makes the answer from what the sandbox says.
local function answer(agent, outcome, first, second)
  local result = { outcome = outcome, prompt = prompt(agent) }
  if outcome == "ok" then
    result.values, result.cut = first, second or nil
    return result
  end
  result.message, result.traceback = first and tostring(first), own_frames(second)
  if outcome == "timeout" then
    result.message = ("ended: it ran for more than %d s"):format(LIMITS.deadline_ms // 1000)
  elseif outcome == "no_memory" then
    result.message = ("ended: it needed more than %d MiB"):format(LIMITS.memory_mb)
  end
  return result
end

--- repl.eval {code, more} → events {print}, then {outcome, values|message, traceback, prompt}
--
-- Outcomes are ok, error, timeout, no_memory; and incomplete, when `more` says that the client can
-- ask for another line.
function Repl:evaluate(agent, request)
  local code = request.params.code
  if type(code) ~= "string" or #code > MAX_CODE_BYTES then
    return request:fail("bad_request", ('"code" is Lua text of at most %d KiB'):format(MAX_CODE_BYTES // 1024))
  end
  local session = self:session(agent, request)
  if session.job then return request:fail("busy", "the line before still runs; it is ended after 2 s") end
  local chunk, err, incomplete = self:compile(code, session.environment)
  if not chunk then
    if incomplete and request.params.more then return request:reply(answer(agent, "incomplete")) end
    return request:reply(answer(agent, "error", err))
  end
  self:start(agent, request, session, chunk)
end

--- Runs a line slice by slice; between two of them the loop does what else there is to do.
function Repl:start(agent, request, session, chunk)
  session.request, session.output_left = request, MAX_OUTPUT_BYTES
  local job = self.sandbox.start(run_and_format, LIMITS, chunk, session.environment)
  session.job = job

  local function step()
    if session.job ~= job then return end
    -- ("text"):find(…) must find the bounded functions too, and nobody else must.
    string_metatable.__index = session.strings
    local outcome, first, second = job:step(SLICE_MS)
    string_metatable.__index = string
    if not outcome then return self.timer.after(PAUSE_MS, step) end
    session.job = nil
    request:reply(answer(agent, outcome, first, second))
  end

  request:on_close(function() session.job = nil end)
  step()
end

--- Follows "cluster.session" through plain tables; calls nothing.
local function resolve(session, path)
  local value = session.environment
  for name in path:gmatch("[%a_][%w_]*") do
    if type(value) ~= "table" then return nil end
    local member = rawget(value, name)
    if member == nil and value == session.environment and session.views[name] then member = session.views[name]() end
    value = member
  end
  return value
end

--- @tparam[opt="^[%a_][%w_]*$"] string pattern of names that can stand there
local function candidates_of(session, container, prefix, pattern)
  local names, seen = {}, {}
  local function add(from)
    for name in next, from do
      local fits = type(name) == "string" and name:match(pattern or "^[%a_][%w_]*$") and name:sub(1, #prefix) == prefix
      if fits and not seen[name] and #names < MAX_CANDIDATES then
        names[#names + 1], seen[name] = name, true
      end
    end
  end
  if type(container) == "table" then add(container) end
  if container == session.environment then add(session.views) end
  table.sort(names)
  return names
end

--- repl.complete {text} → {from, words}: what can stand at the end of `text`, from byte `from` on
function Repl:complete(agent, request)
  local text = request.params.text
  if type(text) ~= "string" then return request:fail("bad_request", '"text" is what was typed so far') end
  local session = self:session(agent, request)
  local function offer(container, prefix, pattern)
    request:reply({ from = #text - #prefix + 1, words = candidates_of(session, container, prefix, pattern) })
  end
  -- apps["web-1: most names of applications are no names of Lua's.
  local indexed, key = text:match("([%a_][%w_.]*)%[[\"']([^\"']*)$")
  if indexed then return offer(resolve(session, indexed), key, "^[^%c\"'\\]+$") end
  local word = text:match("[%a_][%w_.:]*$") or ""
  local path, prefix = word:match("^(.*)[.:]([%w_]*)$")
  if path then return offer(resolve(session, path), prefix) end
  offer(session.environment, word)
end

--- @tparam table core sandbox and timer are used
-- @treturn table with `evaluate` and `complete`, the handlers
function M.new(core)
  local repl = setmetatable({ sandbox = core.sandbox, timer = core.timer }, Repl)
  return {
    evaluate = function(agent, request) return repl:evaluate(agent, request) end,
    complete = function(agent, request) return repl:complete(agent, request) end,
  }
end

return M
