--- Who is whose child.
local process = require("tests.lib.process")

local M = {}

--- The children of a process, as the kernel lists them.
function M.children(pid)
  local list = {}
  for child in process.slurp(("/proc/%d/task/%d/children"):format(pid, pid)):gmatch("%d+") do
    list[#list + 1] = tonumber(child)
  end
  return list
end

--- The program's name as the kernel keeps it (15 bytes of it); "" when the process is gone.
function M.name(pid)
  return process.slurp(("/proc/%d/comm"):format(pid)):gsub("\n", "")
end

--- A process and those of its children that have a name.
function M.family(pid, name)
  local list = {pid}
  for _, child in ipairs(M.children(pid)) do
    if M.name(child) == name then
      list[#list + 1] = child
    end
  end
  return list
end

return M
