--- A policy tried on the live cluster, without effect: may it take over?
--
-- It is asked to place every task as if none was placed, because in a settled cluster a policy is asked nothing. It
-- must keep the contract (policies/README.md): say something of every replica, say the same when asked again, break no rule.
-- Then it is asked for the cluster as it is: what would change?
local Deltas = require("appmgr.planner.deltas")
local assignment = require("appmgr.assignment")
local check = require("appmgr.planner.check")
local diff = require("appmgr.planner.diff")
local fresh = require("appmgr.planner.fresh")

local M = {}

local MAX_LINES = 50

-- A task of which a replica is neither placed nor pending.
local function forgotten(result)
  for _, state in ipairs(result.states) do
    local wanted = state.mode == "normal" and state.entry.task.replication
    if wanted and wanted ~= "all" and #state.placed + #state.pending ~= wanted then
      return ('task "%s": of %d replicas %d are placed and %d pending'):format(state.name, wanted, #state.placed, #state.pending)
    end
  end
end

local function fingerprint(by_host, json)
  local parts = {}
  for host, replicas in pairs(by_host) do parts[#parts + 1] = host .. " " .. assignment.encode(replicas, json) end
  table.sort(parts)
  return table.concat(parts, "\n")
end

-- What is wrong with the policy on this snapshot; nil when nothing is.
local function breach(snapshot, load, limits, json)
  local policy, err = load()
  if not policy then return err end
  local first, engine = fresh.decide(snapshot, policy, limits)
  local wrong = fresh.failure(first) or forgotten(first) or check.violation(engine, first.changes)
  if wrong then return wrong end
  -- Loaded anew: what it kept from the first time must not matter.
  local second = fresh.decide(snapshot, (load()), limits)
  if fingerprint(first.changes, json) ~= fingerprint(second.changes, json) then
    return "it is not deterministic: asked twice about the same cluster it answered differently"
  end
  return nil, first
end

--- Tries a policy.
-- @tparam Model model fed with everything
-- @tparam table snapshot of it
-- @tparam function load → Policy | nil, reason; each call loads it anew
-- @tparam ?table limits see engine
-- @tparam table json appmgr.json
-- @treturn table `ok`, `error` (why not), `changes` (how many hosts would get another assignment now), `summary` (lines for
--   people), `elsewhere` and `replicas` (placed from nothing, how many of those that run would stand on another node)
function M.run(model, snapshot, load, limits, json)
  local wrong, first = breach(snapshot, load, limits, json)
  if wrong then return { ok = false, error = wrong } end
  local result, engine = Deltas.decide_once(snapshot, (load()), { limits = limits })
  wrong = check.violation(engine, result.changes)
  if wrong then return { ok = false, error = wrong } end
  local changes = diff.changes(result.changes, snapshot, model.holdings, json)
  local elsewhere, replicas = fresh.elsewhere(snapshot.held, first.changes)
  return {
    ok = true, changes = #changes, summary = json.array(diff.summary(changes, model.holdings, MAX_LINES)),
    elsewhere = elsewhere, replicas = replicas,
  }
end

return M
