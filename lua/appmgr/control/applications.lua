--- Methods about the applications of this node; those that change local ones are in local_applications.lua.

local clock = require("appmgr.clock")
local json = require("appmgr.json")
local suggest = require("appmgr.suggest")

local M = {}

--- How many runs are told unless somebody asks for more.
local RUNS <const> = 20

local function not_known(agent)
  return ('the agent "%s" does not know yet what runs: its keeper has not answered; "appmgr status" says what is known')
    :format(agent.node)
end

--- Finds an application of this node.
-- @tparam table agent
-- @tparam string name as in the status key: a task's second slot is "name#2"
-- @treturn[1] table its row of the status key
-- @treturn[2] nil
-- @treturn[2] string why not, with the nearest name there is
-- @treturn[2] string code: "not_found", or "unavailable" while nobody knows
function M.find(agent, name)
  if not agent.apps:is_known() then return nil, not_known(agent), "unavailable" end
  local found = agent.apps:row(name)
  if found then return found end
  local known = {}
  for index, row in ipairs(agent.apps:list()) do known[index] = row.name end
  local near = suggest.nearest(tostring(name), known)
  local hint = near and ('; did you mean "%s"?'):format(near) or '; "appmgr app ls" lists those there are'
  return nil, ('no application "%s" on node "%s"%s'):format(tostring(name), agent.node, hint), "not_found"
end

--- app.list {} → [fields of the status key]
function M.list(agent, request)
  if not agent.apps:is_taken_over() then return request:fail("unavailable", not_known(agent)) end
  request:reply(agent.apps:list())
end

--- app.show {name} → fields of the status key
function M.show(agent, request)
  local row, err, code = M.find(agent, request.params.name)
  if not row then return request:fail(code, err) end
  request:reply(row)
end

-- Changes --------------------------------------------------------------------

--- Refuses every change of an agent that ends.
function M.is_ending(agent, request)
  if not agent.is_ending then return false end
  request:fail("unavailable", ('the agent "%s" is ending; nothing is changed any more'):format(agent.node))
  return true
end

--- Refuses what cannot be a change of one application.
local function is_refused(agent, request)
  if M.is_ending(agent, request) then return true end
  if type(request.params.name) == "string" then return false end
  request:fail("bad_request", '"name" is the application\'s name')
  return true
end

--- What to do instead with a task's replica, by what was asked for: function(row) → text.
M.instead_of = {
  disable = function(row)
    return ('"appmgr task disable %s" stops it on all nodes'):format(row.task)
  end,
  enable = function(row)
    if row.status == 0 then return ('"appmgr task enable %s" starts it on all nodes'):format(row.task) end
    return ('it is enabled; "appmgr app restart %s" starts it again'):format(row.name)
  end,
  remove = function(row)
    return ('"appmgr task rm %s" removes the task, "appmgr task scale %s 0" stops it on all nodes'):format(row.task, row.task)
  end,
}

--- app.reload {name} → {name, outcome="reloaded", signal}
function M.reload(agent, request)
  if is_refused(agent, request) then return end
  local name = request.params.name
  local row, err, code = M.find(agent, name)
  if not row then return request:fail(code, err) end
  local sent, reason = agent.apps:reload(name)
  if sent then return request:reply({ name = name, outcome = "reloaded", signal = row.reload_signal }) end
  request:fail("conflict", ('application "%s" is not reloaded: %s'):format(name, reason))
end

--- app.restart {name} → {name, outcome="restarted", pid}, once it runs again
function M.restart(agent, request)
  if is_refused(agent, request) then return end
  local name = request.params.name
  local row, err, code = M.find(agent, name)
  if not row then return request:fail(code, err) end
  local begun, reason = agent.apps:restart(name, function(now)
    if now.state == "running" then return request:reply({ name = name, outcome = "restarted", pid = now.pid }) end
    request:fail("failed", ('application "%s" does not run: %s'):format(name, now.error or "it is " .. now.state))
  end)
  if begun then return end
  local enabling = row.task and M.instead_of.enable(row) or ('"appmgr app enable %s" starts it'):format(name)
  local hint = row.status == 0 and "; " .. enabling
  request:fail("conflict", ('application "%s" is not restarted: %s%s'):format(name, reason, hint or ""))
end

-- History --------------------------------------------------------------------

local function time_text(unix_s)
  return unix_s and clock.text(unix_s)
end

--- How long a run lasted or has lasted; a run that an older keeper told of says less.
local function seconds_of(run, now)
  if run.ran_ms then return run.ran_ms / 1000 end
  if run.ended or not run.started then return nil end
  return math.max(0, now - run.started)
end

local function shown_run(run, now)
  return {
    start_time = time_text(run.started or run.failed), end_time = time_text(run.ended), ran_seconds = seconds_of(run, now),
    pid = run.pid, code = run.code, signal = run.signal, error = run.error, next = run.next,
    out_of_memory = run.out_of_memory,
  }
end

--- app.history {name, count} → [{start_time, end_time, ran_seconds, pid, code, signal, out_of_memory, error, next}], oldest first
--
-- A run without `end_time` and `error` is the one that runs. `next` says what the keeper did then: restart, stop (the
-- run ended because it was asked to), none.
function M.history(agent, request)
  local name, count = request.params.name, request.params.count or RUNS
  if math.type(count) ~= "integer" or count < 0 then return request:fail("bad_request", '"count" is a whole number') end
  local row, err, code = M.find(agent, name)
  if not row then return request:fail(code, err) end
  local runs, now = {}, clock.now()
  for index, run in ipairs(agent.apps:runs(name, count)) do runs[index] = shown_run(run, now) end
  request:reply(json.array(runs))
end

return M
