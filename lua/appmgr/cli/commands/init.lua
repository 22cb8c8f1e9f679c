--- The commands, in the order in which `appmgr --help` lists them.
--
-- The command "task apply" lives in task_apply.lua beside this file ("app exec-history" in app_exec_history.lua), which returns
--   text             what it accepts and what --help prints (see appmgr.cli.usage)
--   speaks_to_agent  true when it needs a running agent (adds --socket)
--   run              function(context, arguments) → exit code

return {
  "agent",
  "status",
  "nodes",
  "node label",
  "node drain",
  "node undrain",
  "node eligible",
  "node ineligible",
  "tasks",
  "task apply",
  "task show",
  "task scale",
  "task enable",
  "task disable",
  "task restart",
  "task rm",
  "app ls",
  "app show",
  "app logs",
  "app exec-history",
  "app add",
  "app rm",
  "app enable",
  "app disable",
  "app restart",
  "app reload",
  "policy ls",
  "policy show",
  "policy put",
  "policy use",
  "policy rollback",
  "policy rm",
  "cluster accept",
  "cluster restore",
  "leave",
  "repl",
  "config check",
  "lua",
}
