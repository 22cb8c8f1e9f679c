--- `appmgr node drain`: have the replicas of a node go elsewhere.

local duration = require("appmgr.cli.duration")
local node_change = require("appmgr.cli.node_change")

local TEXT = [[
appmgr node drain NODE
Have the replicas of a node go elsewhere, and let it have no new ones until "node undrain".

A replica stops here when its successor runs elsewhere; one that finds no room there is stopped and
shown as pending. The node's local applications stay.

  --deadline T     how long that may take: 90s, 30m, 2h, 1d; what is there then is stopped
  --wait-for-room  let a replica run here until there is room for it elsewhere
  --force          also of a node that has never been there
  --json           for programs]]

local function run(context, arguments)
  local drain = true
  local seconds
  if arguments.deadline then
    seconds = duration.seconds(arguments.deadline)
    if not seconds then
      return context:misuse(('--deadline takes a time such as 90s, 30m, 2h or 1d, not "%s"'):format(arguments.deadline),
        "appmgr node drain --help")
    end
  end
  if seconds or arguments.wait_for_room then
    drain = { deadline = seconds and os.time() + seconds, wait_for_room = arguments.wait_for_room or nil }
  end
  return node_change.run(context, arguments, { drain = drain },
    '%s is being drained; "appmgr nodes" shows what is left on it', "%s unchanged: it is being drained already")
end

return { text = TEXT, speaks_to_agent = true, run = run }
