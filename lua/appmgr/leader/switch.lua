--- From one policy to the next while the leader works: the new one is tried first (leader/trial.lua), and takes over only when
-- it keeps its contract on the cluster as it is. What it would change is logged before it does.
local Trial = require("appmgr.leader.trial")
local json = require("appmgr.json")

local M = {}

local Switch = {}
Switch.__index = Switch

--- @tparam table deps what Trial.start needs, `log`, `problems`, `cluster` (id()), `on_accepted` (function(policy): it takes
--   over now)
-- @treturn Switch
function M.new(deps)
  return setmetatable({ deps = deps, log = deps.log, problems = deps.problems }, Switch)
end

--- Whether two policies are one: the same text under the same name with the same options.
-- @treturn boolean
function M.same(a, b)
  if not a or not b then return a == b end
  return a.name == b.name and a.source == b.source and json.encode({ a.options or {} }) == json.encode({ b.options or {} })
end

local function log_accepted(self, policy, answer)
  if answer.untried then
    return self.log.info(('policy "%s" takes over, untried: %s'):format(policy.name, answer.untried))
  end
  self.log.info(('policy "%s" takes over: %d nodes get another assignment by it; placed from nothing, %d of %d replicas would be'
    .. " elsewhere"):format(policy.name, answer.changes or 0, answer.elsewhere or 0, answer.replicas or 0))
  for _, line in ipairs(type(answer.summary) == "table" and answer.summary or {}) do self.log.info("  " .. tostring(line)) end
end

local function ended(self, policy, answer)
  self.trial = nil
  if not answer.ok then
    self.problems:set("policy/next", ('the policy "%s" was tried and cannot be used: %s; the one before stays in use'):format(
      policy.name, tostring(answer.error)))
    return
  end
  self.problems:clear("policy/next")
  log_accepted(self, policy, answer)
  self.deps.on_accepted(policy)
end

--- Another policy may be wanted than the one in use.
-- @tparam table in_use
-- @tparam ?table wanted nil when it cannot be read
-- @tparam ?string err why it cannot be read
function Switch:consider(in_use, wanted, err)
  self:stop()
  if not wanted then
    self.problems:set("policy/next", ("the policy cannot be read: %s; the one before stays in use"):format(err))
  elseif M.same(in_use, wanted) then
    self.problems:clear("policy/next")
  else
    local deps = setmetatable({ known_cluster = self.deps.cluster:id() }, { __index = self.deps })
    self.trying = wanted
    self.trial = Trial.start(deps, wanted, function(answer) ended(self, wanted, answer) end)
  end
end

--- The name of the policy that is tried at the moment.
-- @treturn ?string
function Switch:candidate()
  return self.trial and self.trying.name or nil
end

--- Ends a trial that is under way.
function Switch:stop()
  if self.trial then self.trial.cancel() end
  self.trial = nil
end

return M
