--- The methods of the control socket, by name.
--
-- A handler is `function(agent, request)`: it answers with `request:reply(result)` or
-- `request:fail(code, message)`, now or later, and never blocks. What needs the whole cluster
-- (tables of tasks and nodes) is worked out in the client's process from `consul.read`.

local applications = require("appmgr.control.applications")
local cluster = require("appmgr.control.cluster")
local confirm = require("appmgr.control.confirm")
local local_applications = require("appmgr.control.local_applications")
local logs = require("appmgr.control.logs")
local nodes = require("appmgr.control.nodes")
local policies = require("appmgr.control.policies")
local repl = require("appmgr.control.repl")
local settled = require("appmgr.control.settled")
local store = require("appmgr.control.store")
local tasks = require("appmgr.control.tasks")
local views = require("appmgr.control.views")

local M = {}

local function leave(agent, request)
  agent:leave(function(result, err)
    if not result and err then return request:fail("failed", err) end
    request:reply(result)
  end)
end

--- keeper.upgrade {} → {applications=number}: when the keeper runs its new program
local function upgrade_keeper(agent, request)
  agent.apps:upgrade_keeper(function(done, err)
    if not done then return request:fail("failed", err) end
    request:reply({ applications = #agent.apps:list() })
  end)
end

--- @tparam table core the core modules by name: codec, sandbox, timer
-- @treturn table handlers by method name
function M.new(core)
  local shell, once_known = repl.new(core), settled.new(core.timer)
  return {
    ["status"] = function(agent, request)
      request:reply(views.status(agent, core.timer.now_ms()))
    end,
    ["plan.confirm"] = confirm.plan,
    ["policy.configured"] = policies.configured,
    ["policy.put"] = policies.put,
    ["policy.choose"] = policies.choose,
    ["policy.remove"] = policies.remove,
    ["app.list"] = once_known(applications.list),
    ["app.show"] = once_known(applications.show),
    ["app.add"] = local_applications.add,
    ["app.remove"] = once_known(local_applications.remove),
    ["app.enable"] = once_known(local_applications.enable),
    ["app.disable"] = once_known(local_applications.disable),
    ["app.restart"] = once_known(applications.restart),
    ["app.reload"] = once_known(applications.reload),
    ["app.history"] = once_known(applications.history),
    ["app.logs"] = once_known(logs.new(core).show),
    ["consul.read"] = store.new(core).read,
    ["task.apply"] = tasks.apply,
    ["task.scale"] = tasks.scale,
    ["task.enable"] = tasks.enable,
    ["task.disable"] = tasks.disable,
    ["task.restart"] = tasks.restart,
    ["task.remove"] = tasks.remove,
    ["node.set"] = nodes.set,
    ["cluster.accept"] = cluster.accept,
    ["cluster.restore"] = cluster.restore,
    ["repl.eval"] = shell.evaluate,
    ["repl.complete"] = shell.complete,
    ["keeper.upgrade"] = upgrade_keeper,
    ["leave"] = leave,
  }
end

return M
