--- The command line: `appmgr lua FILE [ARG…]` runs a script in this runtime.

local function run_file(args)
  arg = table.move(args, 2, #args, 0)
  local chunk, err = loadfile(arg[0])
  if not chunk then
    io.stderr:write("appmgr: ", err, "\n")
    return 1
  end
  chunk(table.unpack(arg))
  return 0
end

return function(args)
  if args[1] == "lua" and args[2] then
    return run_file(args)
  end
  io.stderr:write("usage: appmgr lua FILE [ARG...]\n")
  return 2
end
