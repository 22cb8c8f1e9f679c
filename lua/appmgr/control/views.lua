--- What may be seen of an agent from outside: copies without secrets, made when they are asked for.

local json = require("appmgr.json")
local redact = require("appmgr.control.redact")

local M = {}

--- Whether this agent is the elected leader, as far as it knows.
function M.is_leader(agent)
  return agent.election ~= nil and agent.election:leader() == agent.node
end

local function session_of(agent, now_ms)
  local id = agent.session and agent.session:id()
  if not id then return nil end
  local left_ms = agent.session:lease_until_ms() - now_ms
  return { id = id, lease_seconds = math.max(0, left_ms // 1000) }
end

--- This node's view of the cluster.
-- @tparam table agent
-- @tparam integer now_ms of core.timer
-- @treturn table {node, consul=boolean, id, prefix, leader, is_leader, session={id,lease_seconds}}
function M.cluster(agent, now_ms)
  return {
    node = agent.node,
    consul = agent.client ~= nil,
    prefix = agent.config.Consul and agent.config.Consul.prefix,
    id = agent.cluster and agent.cluster:id(),
    leader = agent.election and agent.election:leader(),
    is_leader = M.is_leader(agent),
    session = session_of(agent, now_ms),
  }
end

--- The applications of this node by name, fields of the status key.
function M.applications(agent)
  local by_name = {}
  for _, row in ipairs(agent.apps:list()) do by_name[row.name] = redact.copy(row) end
  return by_name
end

local function count_states(rows)
  local states = {}
  for _, row in ipairs(rows) do
    local state = row.state or "unknown"
    states[state] = (states[state] or 0) + 1
  end
  return states
end

--- How many run and are not well.
local function count_unhealthy(rows)
  local count = 0
  for _, row in ipairs(rows) do
    if row.state == "running" and row.health == 1 then count = count + 1 end
  end
  return count
end

--- By which terms this agent places when it leads.
local function placement_of(config)
  if not config.Consul then return nil end
  local terms = { session_ttl = config.Consul.session_TTL, rebalance = config.Policy.rebalance }
  for name, value in pairs(config.Placement or {}) do terms[name] = value end
  return terms
end

--- What `appmgr status` shows.
-- @tparam table agent
-- @tparam integer now_ms of core.timer
function M.status(agent, now_ms)
  local rows, counters = agent.apps:list(), agent.core.runtime.counters()
  return {
    node = agent.node,
    description = agent.config.Description,
    version = agent.version,
    pid = agent.pid,
    uptime_seconds = (now_ms - agent.started_ms) // 1000,
    leaving = agent.is_leaving,
    state_dir = agent.state_dir,
    cluster = M.cluster(agent, now_ms),
    policy = agent.policy_source.policy.name,
    placement = placement_of(agent.config),
    leading = agent.leader and agent.leader:status(),
    containment = agent.apps:containment_level(),
    loop = { longest_ms = counters.longest_call_ms, slow_turns = counters.slow_calls },
    applications = { total = #rows, states = count_states(rows), unhealthy = count_unhealthy(rows) },
    problems = json.array(agent.problems:list()),
  }
end

--- The names a REPL line can look at.
-- @tparam table agent
-- @tparam function now_ms of core.timer
-- @treturn table functions by name, each makes a fresh copy
function M.new(agent, now_ms)
  return {
    cluster = function()
      local view = M.cluster(agent, now_ms())
      view.problems = agent.problems:list()
      return view
    end,
    apps = function() return M.applications(agent) end,
    config = function() return redact.copy(agent.config) end,
  }
end

return M
