--- What the tasks of Consul may run on a node: the `Tasks` block of its configuration.
--
-- One set of rules, held twice. The leader reads it in `live/<host>` and gives
-- the node nothing that it refuses; the node's keeper holds it whoever asks
-- (src/keeper/permit.c), from a file that no document of Consul can reach.
-- The leader cannot see the node's PATH: a program without a slash is refused
-- here only when no pattern could mean it, and looked up by the keeper.
local M = {}

--- Why tasks, users, commands or environments are refused; the texts are in planner/reasons.lua.
local NO_TASKS = { code = "no_tasks" }

local function not_allowed(what, value)
  return { code = "not_allowed", args = { what = what, value = value } }
end

--- Whether a path matches a pattern: `*` stands for any characters but `/`.
-- @tparam string pattern
-- @tparam string path
-- @treturn boolean
function M.matches(pattern, path)
  return path:find("^" .. pattern:gsub("[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0"):gsub("%*", "[^/]*") .. "$") ~= nil
end

--- Whether a path says by its text where it leads.
-- @tparam string path
-- @treturn boolean false for a relative one, and for one with empty, `.` or `..` parts
function M.is_plain_path(path)
  if path:sub(1, 1) ~= "/" then return false end
  for part in path:sub(2):gmatch("([^/]*)/?") do
    if part == "." or part == ".." then return false end
  end
  return not path:find("//", 1, true)
end

local function strings(list)
  local kept = {}
  for _, item in ipairs(type(list) == "table" and list or {}) do
    if type(item) == "string" then kept[#kept + 1] = item end
  end
  return kept
end

--- Reads the rules in a document: the configuration's `Tasks`, or `tasks` of `live/<host>`.
-- @param value decoded JSON; what is no list of strings allows nothing
-- @tparam[opt] string owner who runs what names no user, where the document does not say
-- @treturn ?table `enabled`, `owner`, `users` (set, nil: all), `commands` (list of patterns, nil: all); nil when
--   nothing is limited
function M.read(value, owner)
  if value == nil then return nil end
  if type(value) ~= "table" then return { enabled = false, known = {} } end
  local users = value.users ~= nil and {} or nil
  for _, user in ipairs(users and strings(value.users) or {}) do users[user] = true end
  return {
    enabled = value.enabled ~= false, owner = value.owner or owner, users = users,
    commands = value.commands ~= nil and strings(value.commands) or nil,
    -- By application: a node's rules and a task's document change seldom, and are compared often.
    known = setmetatable({}, { __mode = "k" }),
  }
end

local function allows_program(commands, program)
  local is_path = program:find("/", 1, true) ~= nil
  if is_path and not M.is_plain_path(program) then return false end
  for _, pattern in ipairs(commands) do
    if M.matches(is_path and pattern or pattern:match("[^/]*$"), program) then return true end
  end
  return false
end

--- The variable that makes the loader run other code in an allowed program, if there is one.
local function loader_variable(env)
  local found
  for name in pairs(env) do
    if name:sub(1, 3) == "LD_" and (not found or name < found) then found = name end
  end
  return found
end

--- All that an application executes.
local function commands_of(app)
  local list = { app.argv }
  list[#list + 1] = app.init_argv
  list[#list + 1] = app.fini_argv
  list[#list + 1] = app.check and app.check.argv
  return list
end

local function find_refusal(permits, app)
  if not permits.enabled then return NO_TASKS end
  local user = app.user or permits.owner
  if permits.users and not permits.users[user or ""] then
    return not_allowed("user", user or "of the agent")
  end
  -- A user that is allowed could be as good as root with them; what names no user can only give some up.
  if permits.users and app.user and app.capabilities and #app.capabilities > 0 then
    return not_allowed("capabilities", table.concat(app.capabilities, ", "))
  end
  if not permits.commands then return nil end
  for _, argv in ipairs(commands_of(app)) do
    if not allows_program(permits.commands, argv[1]) then return not_allowed("command", argv[1]) end
  end
  local variable = loader_variable(app.env)
  return variable and not_allowed("environment", variable)
end

--- Why a node does not run an application for a task.
-- @tparam ?table permits from `read`
-- @tparam table app from application.read
-- @treturn ?table a reason {code, args}; nil when nothing is against it
function M.refusal(permits, app)
  if not permits then return nil end
  local known = permits.known[app]
  if known == nil then
    known = find_refusal(permits, app) or false
    permits.known[app] = known
  end
  return known or nil
end

return M
