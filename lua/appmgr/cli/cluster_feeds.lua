--- What a planner of this process is given: Consul's answers, read through the agent.
--
-- The agent only hands them over as they came; parsing them and running the engine grows with the cluster, and is done here:
-- the same code that the leader's planner runs, so that no leader is needed to get an answer.

local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")
local policy_store = require("appmgr.cli.policy_store")

local M = {}

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
-- @tparam table context of the command line
-- @tparam {table,...} keys as of the method consul.read
-- @treturn[1] {table,...} {status, index, body}
-- @treturn[2] nil
-- @treturn[2] string the first failure
function M.read(context, keys)
  if #keys == 0 then return {} end
  local results, err = context:call("consul.read", { keys = keys })
  if not results then return nil, err end
  for _, result in ipairs(results) do
    if result.error then return nil, result.error end
    result.body, result.body_base64 = context.core.codec.base64_decode(result.body_base64), nil
  end
  return results
end

local function feed(list, answer, topic, host)
  list[#list + 1] = { topic = topic, host = host, status = answer.status, index = answer.index, body = answer.body }
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
local function feed_statuses(context, list, hosts)
  for first = 1, #hosts, HOSTS_AT_ONCE do
    local keys = {}
    for i = first, math.min(first + HOSTS_AT_ONCE - 1, #hosts) do
      keys[#keys + 1] = { key = "status/" .. hosts[i] .. "/applications" }
    end
    local answers, err = M.read(context, keys)
    if not answers then return nil, err end
    for i, answer in ipairs(answers) do feed(list, answer, "status", hosts[first + i - 1]) end
  end
  return true
end

--- Reads everything that a planner has to hear.
-- @tparam table context
-- @treturn[1] {table,...} feeds: `topic`, `host` (of a status), `status`, `index`, `body`
-- @treturn[2] nil
-- @treturn[2] string why not
function M.collect(context)
  local reads = {}
  for i, item in ipairs(TOPICS) do reads[i] = item.read end
  local answers, err = M.read(context, reads)
  if not answers then return nil, err end
  local list = {}
  for i, item in ipairs(TOPICS) do feed(list, answers[i], item.topic) end
  local done, status_error = feed_statuses(context, list, hosts_of(answers[2]))
  if not done then return nil, status_error end
  return list
end

--- The policy that a leader would place with, were it the agent that is asked.
-- @tparam table context
-- @treturn[1] table {name, source, options}
-- @treturn[2] nil
-- @treturn[2] string why it cannot be said
function M.policy(context)
  local stored, err = policy_store.read(context)
  if not stored then return nil, err end
  local chosen, chosen_error = policy_store.chosen(stored)
  if chosen or chosen_error then return chosen, chosen_error end
  return context:call("policy.configured")
end

--- The first message for a planner.
-- @tparam table context
-- @tparam table status what the method `status` answered
-- @tparam ?table policy {name, source, options}; nil with a reason: it reports without one
-- @tparam ?string reason
-- @treturn string a frame
function M.configure(context, status, policy, reason)
  return frame.encode({
    type = "configure", node = status.node, prefix = status.cluster.prefix, policy_error = reason,
    policy = policy and { name = policy.name, hash = context.core.codec.sha256(policy.source), options = policy.options },
  }, policy and policy.source)
end

--- Feeds as messages.
-- @tparam {table,...} list from `collect`
-- @tparam {string,...} messages that they are added to
function M.append(list, messages)
  for _, item in ipairs(list) do
    local header = { type = "feed", topic = item.topic, host = item.host, status = item.status, index = item.index }
    messages[#messages + 1] = frame.encode(header, item.body)
  end
end

return M
