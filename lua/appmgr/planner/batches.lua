--- Turns changes into transactions that Consul takes: each begins by checking
-- that this agent's session still holds the leader key, and that this was not fenced since it was read
-- (leader/fence.lua); none is larger or longer than old servers allow.
--
-- Atomicity ends at a batch, so the order matters: versions before the
-- assignments that name them, stops before starts.
local M = {}

--- Limits of Consul before 1.14, with room for what surrounds the operations.
M.MAX_OPERATIONS = 64
M.MAX_BYTES = 480 * 1024

local Builder = {}
Builder.__index = Builder

local function encode(deps, verb, key, extra)
  local operation = { Verb = verb, Key = deps.prefix .. key }
  for name, value in pairs(extra or {}) do operation[name] = value end
  return deps.json.encode({ KV = operation })
end

local function new_builder(deps)
  local checks = {
    encode(deps, "check-session", "leader", { Session = deps.session }),
    encode(deps, "check-index", "leader", { Index = deps.leader_index }),
  }
  return setmetatable({
    deps = deps, checks = checks, check_bytes = #table.concat(checks) + 3, batches = {}, problems = {},
  }, Builder)
end

function Builder:finish()
  local batch = self.current
  if not batch then return end
  self.batches[#self.batches + 1] = { body = "[" .. table.concat(batch.parts, ",") .. "]", effects = batch.effects }
  self.current = nil
end

function Builder:begin()
  -- The checks of the leader have no effect of their own; the list stays aligned.
  local parts = table.move(self.checks, 1, #self.checks, 1, {})
  self.current = { parts = parts, effects = { false, false }, bytes = self.check_bytes }
end

--- Adds operations that must not be torn apart.
function Builder:add(unit, what)
  local bytes = 0
  for _, operation in ipairs(unit) do bytes = bytes + #operation.text + 1 end
  if bytes + self.check_bytes > M.MAX_BYTES then
    local text = ("%s needs %d bytes, a transaction holds %d; it is left as it was"):format(what, bytes, M.MAX_BYTES)
    self.problems[#self.problems + 1] = { key = "commit/" .. what, text = text }
    return
  end
  local current = self.current
  if current and (#current.parts + #unit > M.MAX_OPERATIONS or current.bytes + bytes > M.MAX_BYTES) then
    self:finish()
  end
  if not self.current then self:begin() end
  current = self.current
  for _, operation in ipairs(unit) do
    current.parts[#current.parts + 1] = operation.text
    current.effects[#current.effects + 1] = operation.effect
  end
  current.bytes = current.bytes + bytes
end

function Builder:set(verb, key, value, effect, index)
  effect.key = key
  local extra = { Value = self.deps.codec.base64_encode(value), Index = index }
  return { text = encode(self.deps, verb, key, extra), effect = effect }
end

function Builder:delete(verb, key, effect, index)
  return { text = encode(self.deps, verb, key, { Index = index }), effect = effect }
end

-- A node that has come back in this very moment counts on what its assignment says: nobody may have taken its key since.
local function absence_of(builder, change)
  local absent = change.absent
  if not absent then return nil end
  local verb = absent.index and "check-index" or "check-not-exists"
  return { text = encode(builder.deps, verb, absent.key, { Index = absent.index }), effect = false }
end

local function add_change(builder, change)
  local host, json = change.host, builder.deps.json
  if change.kind == "set" then
    local names = json.encode(json.array(table.move(change.names, 1, #change.names, 1, {})))
    local effect = {
      kind = "assignment", host = host, replicas = change.replicas, text = change.text, gone_since = change.gone_since,
    }
    local unit = { absence_of(builder, change) }
    table.move({
      builder:set("cas", "assignment/" .. host, change.text, effect, change.index),
      -- Of a node that is gone and has nothing more, others need not read that.
      change.is_buried and builder:delete("delete", "topology/" .. host, { kind = "topology_gone", host = host })
        or builder:set("set", "topology/" .. host, names, { kind = "topology", host = host, names = change.names }),
    }, 1, 2, #unit + 1, unit)
    return builder:add(unit, "assignment/" .. host)
  end
  local unit = { absence_of(builder, change) }
  if change.index then
    local effect = { kind = "assignment_gone", host = host }
    unit[#unit + 1] = builder:delete("delete-cas", "assignment/" .. host, effect, change.index)
  end
  if change.topology then
    unit[#unit + 1] = builder:delete("delete", "topology/" .. host, { kind = "topology_gone", host = host })
  end
  builder:add(unit, "assignment/" .. host)
end

local function add_founding(builder, founding)
  if founding.cluster then
    local text = builder.deps.json.encode({ schema = 1, cluster = founding.cluster })
    builder:add({ builder:set("cas", "meta", text, { kind = "meta", cluster = founding.cluster }, 0) }, "meta")
  end
  for _, folder in ipairs(founding.folders) do
    builder:add({ builder:set("cas", folder, "", { kind = "folder" }, 0) }, folder)
  end
  builder:finish()
end

-- What is of no use any more: keys by which a node said that it leaves, confirmations that count no more.
local function add_leftovers(builder, leftovers)
  for _, leftover in ipairs(leftovers) do
    builder:add({
      builder:delete("delete-cas", leftover.key, { kind = "leftover", key = leftover.key }, leftover.index),
    }, leftover.key)
  end
end

--- Builds the transactions of a decision.
-- @tparam table deps `json`, `codec`, `prefix` (with slash), `session`, `leader_index` (ModifyIndex of the key
--   `leader` when what stands there was read)
-- @tparam table work `founding` (`cluster`, `folders`), `versions` to make
--   ({`task`, `hash`, `text`}), `changes` (diff.changes), `old_versions` to delete, `leftovers` ({`key`, `index`} to delete;
--   may be absent)
-- @treturn {table,...} `body`, `effects` (what each operation changes, see holdings.apply)
-- @treturn {table,...} problems: what fits into no transaction
function M.build(deps, work)
  local builder = new_builder(deps)
  add_founding(builder, work.founding)
  for _, version in ipairs(work.versions) do
    local key = ("version/%s/%s"):format(version.task, version.hash)
    local effect = { kind = "version", task = version.task, hash = version.hash }
    builder:add({ builder:set("cas", key, version.text, effect, 0) }, key)
  end
  for _, change in ipairs(work.changes) do add_change(builder, change) end
  for _, version in ipairs(work.old_versions) do
    local key = ("version/%s/%s"):format(version.task, version.hash)
    local effect = { kind = "version_gone", task = version.task, hash = version.hash }
    builder:add({ builder:delete("delete", key, effect) }, key)
  end
  builder:finish()
  add_leftovers(builder, work.leftovers or {})
  builder:finish()
  return builder.batches, builder.problems
end

return M
