--- What the commands that change policies share: a policy is read, loaded, tried on the live cluster, and put.

local cluster_report = require("appmgr.cli.cluster_report")
local documents = require("appmgr.policy_documents")
local feeds = require("appmgr.cli.cluster_feeds")
local frame = require("appmgr.planner.frame")
local json = require("appmgr.json")
local own_planner = require("appmgr.cli.own_planner")
local policy_store = require("appmgr.cli.policy_store")

local M = {}

--- All of the cluster is placed, three times.
local TRIAL_TIMEOUT_MS <const> = 30 * 1000
local MAX_BYTES <const> = 512 * 1024

--- Reads a policy's file.
-- @tparam table context
-- @tparam string path
-- @treturn[1] table {name, source}: its name is that of the file
-- @treturn[2] nil
-- @treturn[2] string why not
function M.read_file(context, path)
  local name = path:match("([^/]+)%.lua$")
  if not name then return nil, ("%s: a policy's file is called NAME.lua"):format(path) end
  local source, err = context.core.file.read(path, MAX_BYTES)
  if not source then return nil, err end
  return { name = name, source = source }
end

--- A policy that was installed with this program.
-- @treturn ?table {name, source}
function M.installed(context, name)
  local source = not name:find("/", 1, true)
    and context.core.file.read(("%s/policies/%s.lua"):format(context.core.runtime.share_dir, name), MAX_BYTES)
  return source and { name = name, source = source } or nil
end

--- Tries a policy on the cluster as it is, without effect (planner/trial.lua).
-- @treturn[1] table `changes`, `summary`, `elsewhere`, `replicas`, or `untried` with the reason
-- @treturn[2] nil
-- @treturn[2] string why it cannot be used
function M.try(context, policy)
  local status, err = cluster_report.status(context)
  if not status then return nil, err end
  local list, collect_error = feeds.collect(context)
  if not list then return nil, collect_error end
  local messages = { feeds.configure(context, status, policy) }
  feeds.append(list, messages)
  messages[#messages + 1] = frame.encode({ type = "trial", now = os.time(), known_cluster = status.cluster.id })
  local answer, planner_error = own_planner.ask(context.core, messages, "trial",
    { timeout_ms = TRIAL_TIMEOUT_MS, needs_policy = true })
  if not answer then return nil, planner_error end
  if not answer.ok then return nil, tostring(answer.error) end
  return answer
end

--- Puts a policy that was loaded, and removes versions beyond those that are kept.
-- @treturn[1] table {name, hash, outcome}
-- @treturn[2] nil
-- @treturn[2] string why not
function M.put(context, policy)
  local result, err = context:call("policy.put", { name = policy.name, source = policy.source })
  if not result then return nil, err end
  local stored = policy_store.read(context)
  for _, version in ipairs(stored and documents.surplus(stored.versions[policy.name] or {}, stored.use) or {}) do
    context:call("policy.remove", { name = version.name, hash = version.hash })
  end
  return result
end

--- What a trial showed, for people.
-- @tparam table answer from `try`
-- @treturn string
function M.describe(answer)
  if answer.untried then return "not tried on the cluster: " .. answer.untried end
  local lines = {
    ("tried on the cluster: %d nodes get another assignment by it; placed from nothing, %d of %d replicas would be elsewhere")
      :format(answer.changes, answer.elsewhere, answer.replicas),
  }
  for _, line in ipairs(answer.summary) do lines[#lines + 1] = "  " .. line end
  return table.concat(lines, "\n")
end

--- Writes which policy is in use.
-- @tparam table context
-- @tparam table stored from policy_store.read
-- @tparam string text of `policy/use`
-- @treturn boolean|nil, string `nil, err` when it was not written
function M.choose(context, stored, text)
  local result, err = context:call("policy.choose", { document = text, index = stored.index })
  return result and true, err
end

--- "spread@1a2b3c4d5e6f", or what stands for the configuration's.
function M.shown(choice)
  return choice.name and ("%s@%s"):format(choice.name, choice.hash) or "that of each agent's configuration"
end

--- Options on a command line.
-- @tparam ?string text JSON
-- @treturn[1] ?table
-- @treturn[2] boolean false
-- @treturn[2] string what is wrong
function M.options(text)
  if not text then return nil end
  local value, err = json.decode(text)
  if type(value) ~= "table" or json.is_array(value) then
    return false, ("--options takes a JSON object: %s"):format(err or "this is none")
  end
  return value
end

return M
