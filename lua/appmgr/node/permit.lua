--- The file that tells this node's keeper what tasks may run here; its form is described in src/keeper/permit.h.
local M = {}

--- The most the keeper reads.
local MAX_BYTES <const> = 256 * 1024

--- The text of the file.
-- @tparam table tasks the `Tasks` block: `enabled`, `users`, `commands`
-- @tparam string owner the name of the user as whom the keeper runs
-- @treturn string
function M.encode(tasks, owner)
  local lines = { "appmgr permit 1" }
  local function add(...) lines[#lines + 1] = table.concat({ ... }) end
  if not tasks.enabled then add("no-tasks") end
  if tasks.users then add("users") end
  for _, user in ipairs(tasks.users or {}) do
    if user == owner then add("own-user") end
    add("user ", user)
  end
  if tasks.commands then add("commands") end
  for _, pattern in ipairs(tasks.commands or {}) do add("command ", pattern) end
  add("end")
  return table.concat(lines, "\n") .. "\n"
end

--- Brings the rules into force.
-- @tparam table file core.file
-- @tparam string state_dir
-- @tparam ?table tasks the `Tasks` block; nil: nothing is limited
-- @tparam string owner see `encode`
-- @treturn boolean|nil, string `nil, err` when they are not in force
function M.write(file, state_dir, tasks, owner)
  local path = state_dir .. "/permit"
  local text = tasks and M.encode(tasks, owner)
  if text and #text > MAX_BYTES then
    return nil, ("Tasks: users and commands come to %d bytes; at most %d fit"):format(#text, MAX_BYTES)
  end
  if not text and not file.stat(path) then return true end
  local done, err
  if text then
    done, err = file.write_atomic(path, text, 384) -- 0600
  else
    done, err = file.remove(path)
  end
  if done then return true end
  return nil, ("the rules for tasks (Tasks) cannot be brought into force: %s"):format(err)
end

return M
