--- The cluster as a table of tasks and nodes, worked out in this process.
--
-- The agent only hands over Consul's answers as they came; parsing them and asking the engine why
-- something is pending grows with the cluster, and is done here by a planner of our own: the same
-- code that the leader's planner runs, so that no leader is needed to get an answer.

local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")

local M = {}

--- Longer than the leader waits for its planner: this one has the status of all hosts to read besides.
local PLANNER_TIMEOUT_MS <const> = 8 * 1000
--- Hosts whose status is asked for in one request.
local HOSTS_AT_ONCE <const> = 200

local TOPICS <const> = {
  { topic = "task", read = { key = "task/", recurse = true } },
  { topic = "live", read = { key = "live/", recurse = true } },
  { topic = "node", read = { key = "node/", recurse = true } },
  { topic = "version", read = { key = "version/", keys = true } },
  { topic = "audit", read = { audit = true } },
}

--- Reads keys through the agent.
-- @treturn[1] {table,...} {status, index, body}
-- @treturn[2] nil
-- @treturn[2] string the first failure
local function read(context, keys)
  if #keys == 0 then return {} end
  local results, err = context:call("consul.read", { keys = keys })
  if not results then return nil, err end
  for _, result in ipairs(results) do
    if result.error then return nil, result.error end
    result.body, result.body_base64 = context.core.codec.base64_decode(result.body_base64), nil
  end
  return results
end

local function feed(messages, answer, topic, host)
  local header = { type = "feed", topic = topic, host = host, status = answer.status, index = answer.index }
  messages[#messages + 1] = frame.encode(header, answer.body)
end

--- The hosts in a listing of live/.
local function hosts_of(answer)
  local hosts = {}
  local listing = answer.status == 200 and json.decode(answer.body) or {}
  for _, entry in ipairs(listing) do
    hosts[#hosts + 1] = entry.Session and entry.Key:match("/live/([^/]+)$")
  end
  return hosts
end

--- Appends what each host says that it runs.
local function feed_statuses(context, messages, hosts)
  for first = 1, #hosts, HOSTS_AT_ONCE do
    local keys = {}
    for i = first, math.min(first + HOSTS_AT_ONCE - 1, #hosts) do
      keys[#keys + 1] = { key = "status/" .. hosts[i] .. "/applications" }
    end
    local answers, err = read(context, keys)
    if not answers then return nil, err end
    for i, answer in ipairs(answers) do feed(messages, answer, "status", hosts[first + i - 1]) end
  end
  return true
end

--- The planner's settings: those of the agent that is asked.
local function configure(context, status)
  local policy, err = context:call("policy.current")
  if not policy then return nil, err end
  return frame.encode({
    type = "configure",
    node = status.node,
    prefix = status.cluster.prefix,
    policy = { name = policy.name, hash = context.core.codec.sha256(policy.source), options = policy.options },
  }, policy.source)
end

--- A policy that hangs must not hide what runs where: the same settings without it.
local function configure_without_policy(status, reason)
  return frame.encode({
    type = "configure", node = status.node, prefix = status.cluster.prefix, policy_error = reason,
  })
end

--- Everything that a planner has to hear before it can report.
local function collect(context, status)
  local first, config_error = configure(context, status)
  if not first then return nil, config_error end
  local reads = {}
  for i, item in ipairs(TOPICS) do reads[i] = item.read end
  local answers, err = read(context, reads)
  if not answers then return nil, err end
  local messages = { first }
  for i, item in ipairs(TOPICS) do feed(messages, answers[i], item.topic) end
  local done, status_error = feed_statuses(context, messages, hosts_of(answers[2]))
  if not done then return nil, status_error end
  messages[#messages + 1] = frame.encode({ type = "report", now = os.time() })
  return messages
end

--- Runs a planner until it has reported.
local function ask_planner(core, messages)
  local report, failure, timer, planner
  local is_finished = false

  -- Once: a planner that is killed below tells its end later, when nobody waits for it any more.
  local function finish(err)
    if is_finished then return end
    is_finished, failure = true, err
    timer:cancel()
    core.loop.stop()
  end

  local function on_message(bytes)
    local header, reason = frame.decode(bytes)
    if not header then return finish("the planner wrote nonsense: " .. reason) end
    if header.type == "error" then return finish("the planner refused a message: " .. tostring(header.message)) end
    if header.type ~= "report" then return end
    report = header
    finish()
  end

  local started, err = core.planner.start({
    on_message = on_message,
    on_exit = function(reason)
      planner = nil
      finish("the planner ended: " .. tostring(reason))
    end,
  })
  if not started then return nil, err end
  planner = started
  timer = core.timer.after(PLANNER_TIMEOUT_MS, function()
    finish(("the planner did not answer within %d s"):format(PLANNER_TIMEOUT_MS // 1000))
  end)
  for _, message in ipairs(messages) do planner:send(message) end
  core.loop.run()
  if planner then planner:kill() end
  if report then return report end
  return nil, failure
end

--- Who leads, as Consul says; agents that are no candidates do not watch it.
-- @tparam table context of the command line
-- @treturn[1] string|boolean the node's name, false when nobody leads
-- @treturn[2] nil
-- @treturn[2] string why it cannot be said
function M.leader(context)
  local answers, err = read(context, { { key = "leader" } })
  if not answers then return nil, err end
  local listing = answers[1].status == 200 and json.decode(answers[1].body) or {}
  local entry = listing[1]
  if not entry or not entry.Session or not entry.Value then return false end
  local value = context.core.codec.base64_decode(entry.Value) or ""
  local name = json.decode(value)
  return type(name) == "string" and name or value
end

--- Those of an agent's problems that concern every node: a store that was swapped, a policy that fails.
local CONCERNS_ALL <const> = {
  ["cluster"] = true, ["cluster/read"] = true, ["cluster/plan/frozen"] = true, ["cluster/plan/outcome"] = true,
}

local function cluster_warnings(problems)
  local list = {}
  for _, problem in ipairs(problems) do
    if CONCERNS_ALL[problem.key] then list[#list + 1] = problem.text end
  end
  return list
end

--- Makes the report.
-- @tparam table context of the command line
-- @treturn[1] table {tasks=, nodes=, problems=} as the planner says, `leader` (false when there is none), and
--   `warnings`, what this agent has to say of the cluster
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read(context)
  local status, err = context:call("status")
  if not status then return nil, err end
  if not status.cluster.consul then
    return nil, ('node "%s" works without Consul: it knows no tasks and no other nodes; "appmgr app ls" lists what '
      .. "runs here"):format(status.node)
  end
  local leader, leader_error = M.leader(context)
  if leader == nil then return nil, leader_error end
  local messages, collect_error = collect(context, status)
  if not messages then return nil, collect_error end
  local report, planner_error = ask_planner(context.core, messages)
  if not report then
    messages[1] = configure_without_policy(status, planner_error)
    report, planner_error = ask_planner(context.core, messages)
  end
  if not report then return nil, planner_error end
  return {
    tasks = report.tasks, nodes = report.nodes, problems = report.problems, leader = leader,
    warnings = cluster_warnings(status.problems),
  }
end

--- What stands below a table: who decides, and what keeps the cluster from being decided on.
-- @tparam table report from `read`
-- @treturn string
function M.footer(report)
  local lines = { report.leader and "leader: " .. report.leader
    or "nobody leads at the moment: what runs goes on, nothing is placed until an agent is elected" }
  table.move(report.warnings, 1, #report.warnings, 2, lines)
  return "\n" .. table.concat(lines, "\n")
end

return M
