--- `appmgr repl`: Lua inside the running agent, line by line.

local TEXT = [[
appmgr repl
Evaluate Lua inside the running agent; on a terminal with editing, history and completion.

What is there to look at, and what a line may do, is told by help(). An unfinished line is continued
on the next one. Each line is ended after 2 s; the agent goes on working meanwhile.
Without a terminal the lines are read from the standard input.

  -e, --execute EXPR    evaluate this and end; the exit code is 1 when it fails]]

local CONTINUE_PROMPT <const> = "...> "
local ENDING <const> = { exit = true, quit = true, ["exit()"] = true, ["quit()"] = true }

local function show(context, result)
  for _, text in ipairs(result.values or {}) do context:print(text) end
  if result.cut then context:warn("(not all is shown; dump(_, 10) shows more)") end
  if result.outcome == "ok" then return true end
  context:warn(result.message)
  if result.traceback and result.traceback ~= "" then context:warn(result.traceback) end
  return false
end

local function evaluate(context, code, more)
  return context:call("repl.eval", { code = code, more = more }, function(event)
    context:print(event.print)
  end)
end

--- One line from -e.
local function run_once(context, code)
  local result, err = evaluate(context, code, false)
  if not result then return context:fail(err) end
  return show(context, result) and 0 or 1
end

local function prompt_of(result)
  local prompt = result and result.prompt
  if not prompt then return "appmgr> " end
  return prompt.node .. (prompt.leader and " (leader)> " or "> ")
end

local Shell = {}
Shell.__index = Shell

--- Evaluates what has been typed; keeps it when it is not finished.
function Shell:take(code)
  self.pending = nil
  if not code:find("%S") then return end
  local result, err = evaluate(self.context, code, true)
  if not result then
    self.context:fail(err)
    self.context:disconnect() -- the agent may be back for the next line
    self.all_well = false
    return
  end
  self.prompt = prompt_of(result)
  if result.outcome == "incomplete" then
    self.pending = code
    return
  end
  self.remember(code)
  self.all_well = show(self.context, result) and self.all_well
end

--- Takes one line that was typed.
-- @treturn boolean whether to go on
function Shell:line(line)
  local word = not self.pending and line:match("^%s*(.-)%s*$")
  if ENDING[word] then return false end
  if word == "help" then line = "help()" end
  self:take(self.pending and self.pending .. "\n" .. line or line)
  return true
end

--- Feeds lines until there are no more.
-- @tparam function read function(prompt) → line | nil, and "interrupted" when Ctrl-C gave the line up
-- @treturn boolean whether all went well
function Shell:run(read)
  self.prompt = prompt_of(evaluate(self.context, "", false))
  while true do
    local line, why = read(self.pending and CONTINUE_PROMPT or self.prompt)
    if line then
      if not self:line(line) then break end
    elseif why == "interrupted" then
      self.pending = nil
    else
      break
    end
  end
  if self.pending then self.context:fail("the last construct is not finished") end
  return self.all_well and not self.pending
end

--- @tparam table context
-- @tparam function remember function(code), called with each complete piece
local function new_shell(context, remember)
  return setmetatable({ context = context, remember = remember, all_well = true }, Shell)
end

local function run_on_terminal(context)
  local terminal = context.core.terminal
  local home = context.getenv("HOME")
  local history = home and home .. "/.appmgr_history"
  if history then terminal.load_history(history) end
  terminal.set_completer(function(text)
    local answer = context:call("repl.complete", { text = text })
    if not answer then return {} end
    return answer.words, answer.from
  end)
  context:print('Lua inside the agent; help() tells what is here, "exit" or Ctrl-D leaves')
  new_shell(context, terminal.add_history):run(terminal.readline)
  if history then terminal.save_history(history) end
  return 0
end

local function run(context, arguments)
  if arguments.execute then return run_once(context, arguments.execute) end
  local reachable, err = context:call("status")
  if not reachable then return context:fail(err) end
  if context.core.terminal.is_terminal(0) then return run_on_terminal(context) end
  local well = new_shell(context, function() end):run(function() return context:read_line() end)
  return well and 0 or 1
end

return { text = TEXT, speaks_to_agent = true, run = run }
