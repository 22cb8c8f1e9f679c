-- Pinned: an operator names the hosts of some tasks; all others are spread. For a task with a licence, a disk or a
-- device that only some machines have, where labels would be too much.
--
--   "Policy": { "name": "pinned", "options": { "hosts": "db = alpha beta; web = web-*" } }

-- "db = alpha beta; web = web-*" as tables of patterns by task. The same text always means the same, so it is read once.
local read = {}

local function pattern_of(host)
  local escaped = string.gsub(host, "[%^%$%(%)%%%.%[%]%+%-%?]", "%%%0")
  return "^" .. string.gsub(escaped, "%*+", ".*") .. "$"
end

local function pins_of(text)
  if read[text] then return read[text] end
  local pins = {}
  for entry in string.gmatch(text, "[^;]+") do
    local task, hosts = string.match(entry, "^%s*(%S+)%s*=%s*(.-)%s*$")
    assert(task and hosts ~= "", "option hosts: \"" .. entry .. "\" is not like: task = host host")
    pins[task] = {}
    for host in string.gmatch(hosts, "%S+") do table.insert(pins[task], pattern_of(host)) end
  end
  read[text] = pins
  return pins
end

return {
  api = 1,
  name = "pinned",
  reads = { "node.replicas", "node.task_replicas" },
  options = {
    hosts = { type = "string", default = "", description = "task = host host; … with * in the names of hosts" },
  },

  filter = function(task, node, _, options)
    local patterns = pins_of(options.hosts)[task.name]
    if not patterns then return true end
    for _, pattern in ipairs(patterns) do
      if string.find(node.name, pattern) then return true end
    end
    return false, "not pinned here"
  end,

  score = function(_, node)
    return -(node.task_replicas * 1000000 + node.replicas)
  end,
}
