--- The names of Linux capabilities (capabilities(7)), and the mask that the kernel makes of them.
local suggest = require("appmgr.suggest")

local M = {}

-- In the kernel's order: the place is the number, from 0 on.
local NAMES = {}
for name in ([[chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
  net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
  sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override
  mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore]]):gmatch("%S+") do
  NAMES[#NAMES + 1] = name
end

local NUMBERS = {}
for index, name in ipairs(NAMES) do NUMBERS[name] = index - 1 end

--- Reads a list of names, in any case, with or without `CAP_`; for a schema of `appmgr.fields`.
-- @param value decoded JSON
-- @treturn ?{string,...} the names, each once, in the kernel's order; maybe empty
-- @treturn ?string why it cannot be used
function M.read(value)
  if type(value) ~= "table" or (next(value) ~= nil and #value == 0) then
    return nil, "must be an array of names such as \"net_bind_service\""
  end
  local wanted, list = {}, {}
  for _, name in ipairs(value) do
    local plain = type(name) == "string" and name:lower():gsub("^cap_", "") or tostring(name)
    if not NUMBERS[plain] then return nil, ("%q is no capability; %s"):format(tostring(name), suggest.hint(plain, NAMES)) end
    wanted[plain] = true
  end
  for _, name in ipairs(NAMES) do
    if wanted[name] then list[#list + 1] = name end
  end
  return #list > 0 and list or value -- an empty array as it was read stays one when it is written
end

--- @tparam {string,...} list from `read`
-- @treturn integer 1 << number of each
function M.mask(list)
  local mask = 0
  for _, name in ipairs(list) do mask = mask | 1 << NUMBERS[name] end
  return mask
end

return M
