--- What the elected agent does: it feeds a planner and commits what that decides.
--
-- One pass, stage by stage:
--
--   stage      file                        input                     output                   trigger
--   elect      leader/election.lua         leader key, session       a term begins, ends      key released, gone; lease
--   feed       leader/feeds.lua            Consul's answers          the same bytes           long polls, audit
--   plan       planner/main.lua (process)  feeds, "decide"           batches, problems        here: feeds since last pass
--   check      leader/leader.lua           decision                  batches or nothing       term, snapshot unchanged
--   commit     leader/commit.lua           batches                   Consul's answers         lease valid, one by one
--   feed back  leader/leader.lua           Consul's answers          "committed"              each batch
--   audit      leader/feeds.lua            assignment/ topology/     a feed, or another read  each 50 s, a refusal,
--              leader/fence.lua            meta, version/ (keys)     if written meanwhile     an answer that was lost
--   reload     leader/switch.lua           another policy            a new planner, or none   a file, SIGHUP, policy/use
--   shadow     leader/shadow.lua           the same feeds            a comparison             an audit
--
-- The first feed is acted on at once; what arrives while a pass runs is taken
-- together by the next. This agent parses none of it and remembers none of it:
-- a planner that dies, or that is killed because it does not answer in time, is
-- replaced by one that is fed everything again. The last topology stays meanwhile.
local bucket = require("appmgr.consul.bucket")
local commit = require("appmgr.leader.commit")
local Fence = require("appmgr.leader.fence")
local Feeds = require("appmgr.leader.feeds")
local Shadow = require("appmgr.leader.shadow")
local Switch = require("appmgr.leader.switch")
local frame = require("appmgr.planner.frame")
local outcome = require("appmgr.leader.outcome")

local M = {}

local Leader = {}
Leader.__index = Leader

local DEADLINE_MS = 5000
local AUDIT_MS = 50000
local DECIDE_AGAIN_MS = 1000
local LONGEST_RETRY_S = 3600
local RETRY_FIRST_MS, RETRY_CEILING_MS = 200, 60000
local REFUSED_CEILING_MS = 5000
-- Deciding may take a tenth of a core, and a second at once; waiting for Consul to write is no work.
local WORK_BURST_MS, WORK_PER_MS = 1000, 0.1
local REQUIRED = { "audit", "version", "task", "live", "node" }

--- @tparam table deps `client`, `timer`, `random` (function → [0,1)), `log`, `problems`, `codec` (sha256, uuid), `now`
--   (function → unix s), `planner` (core.planner), `policy` (function → {name, source, options} | nil, err), `shadow`
--   (function → such a policy | nil; may be absent), `placement` (function → {node_grace_seconds, brake_share,
--   starts_per_second, session_ttl, rebalance}; may be absent), `node`,
--   `session` (id(), is_settling()), `cluster` (id(), verify()), `fallback_ms`,
--   `may_write` (function(term) → boolean), `on_refused` (function(): a write was refused), `remember_tasks`
--   (function(body): the listing of task/ that a decision was made from)
-- @treturn Leader
function M.new(deps)
  local self = setmetatable({ deps = deps, timer = deps.timer, problems = deps.problems, log = deps.log }, Leader)
  self.random = deps.random or math.random
  self.fence = Fence.new(deps)
  self.feeds = Feeds.new({
    client = deps.client, timer = deps.timer, random = self.random, problems = deps.problems,
    fallback_ms = deps.fallback_ms, on_feeds = function(list) self:take_feeds(list) end,
    writes = function() return self.writes end,
    fence = self.fence, may_write = function() return self.term ~= nil and deps.may_write(self.term) end,
    on_refused = deps.on_refused,
  })
  self.decisions = outcome.new({
    timer = deps.timer, problems = deps.problems, now = deps.now, remember_tasks = deps.remember_tasks,
  })
  self.shadow = Shadow.new({
    timer = deps.timer, planner = deps.planner, codec = deps.codec, now = deps.now, node = deps.node,
    prefix = deps.client.prefix, cluster = deps.cluster,
  })
  self.switch = Switch.new(setmetatable({
    random = self.random, on_accepted = function(policy)
      self.policy = policy
      self:start_over()
    end,
  }, { __index = deps }))
  self.snapshot, self.writes = 0, 0
  return self
end

local start_planner, consider

local function no_policy() end

-- The planner's life --------------------------------------------------------

local function cancel(self, name)
  if self[name] then self[name]:cancel() end
  self[name] = nil
end

local function end_pass(self)
  cancel(self, "deadline")
  if self.commit then self.fence:doubt() end
  cancel(self, "commit")
  self.pass = nil
end

--- Forgets the planner and all it knew.
local function drop_planner(self)
  local planner = self.planner
  self.planner, self.configured = nil, false
  end_pass(self)
  cancel(self, "pause")
  cancel(self, "retry")
  self.feeds:stop()
  self.shadow:stop()
  self.fed, self.held, self.is_dirty = {}, {}, false
  if planner then planner:kill() end
end

--- Ends a planner that went wrong and has another one made, later each time.
local function replace_planner(self, reason)
  drop_planner(self)
  self.problems:set("planner", ("the planner was ended: %s; the last topology stays, and another planner is started")
    :format(reason))
  local longest = math.min(RETRY_CEILING_MS, RETRY_FIRST_MS * 2 ^ math.min(self.failures, 16))
  self.failures = self.failures + 1
  self.restart = self.timer.after(math.ceil(longest * (1 - self.random() / 4)), function()
    self.restart = nil
    start_planner(self)
  end)
end

local function send(self, header, body)
  self.planner:send(frame.encode(header, body))
end

--- Ends the planner unless it answers in time: a policy may hang where no hook reaches.
local function expect_answer(self, what)
  cancel(self, "deadline")
  self.deadline = self.timer.after(DEADLINE_MS, function()
    self.deadline = nil
    self.decisions:count("timeout")
    replace_planner(self, ("it did not %s within %d s"):format(what, DEADLINE_MS // 1000))
  end)
end

--- Sends the policy in use; before there is one, that which is to be.
local function configure(self)
  local policy, err = self.policy, nil
  if not policy then policy, err = self.deps.policy() end
  if not policy then
    return self.problems:set("policy", ("the policy cannot be read: %s; nothing is decided"):format(err))
  end
  self.offered = policy
  send(self, {
    type = "configure", node = self.deps.node, prefix = self.deps.client.prefix,
    policy = { name = policy.name, options = policy.options, hash = self.deps.codec.sha256(policy.source) },
  }, policy.source)
  expect_answer(self, "read its policy")
end

function start_planner(self)
  local planner, err
  planner, err = self.deps.planner.start({
    on_message = function(bytes)
      if planner and planner == self.planner then self:take_message(bytes) end
    end,
    on_exit = function(reason)
      if planner and planner == self.planner then
        self.planner = nil
        self.decisions:count("error")
        replace_planner(self, tostring(reason))
      end
    end,
  })
  if not planner then return replace_planner(self, "it cannot be started: " .. tostring(err)) end
  self.planner = planner
  configure(self)
  self.shadow_policy = (self.deps.shadow or no_policy)()
  self.shadow:start(self.shadow_policy)
  self.feeds:start()
end

-- Feeding -------------------------------------------------------------------

--- Hands an answer to the planner, unless something was written since it was asked for: it may show what stood there
-- before, which the planner would take for somebody else's change.
local function feed(self, header, body)
  if header.writes and header.writes ~= self.writes then return self.feeds:audit_later() end
  self.snapshot = self.snapshot + 1
  self.is_dirty = true
  self.fed[header.topic] = true
  if header.topic == "task" and header.status == 200 then self.decisions:tasks_read(body) end
  local message = { type = "feed", topic = header.topic, host = header.host, status = header.status, index = header.index }
  send(self, message, body)
  self.shadow:feed(message, body)
end

--- Takes some of Consul's answers, for one pass. While another runs only the last of each topic is kept.
-- @tparam table list array of {header, body}
function Leader:take_feeds(list)
  if not self.planner then return end
  for _, item in ipairs(list) do
    local place = item.header.topic .. "/" .. (item.header.host or "")
    if not self.pass then
      feed(self, item.header, item.body)
    else
      self.held[#self.held + 1] = not self.held[place] and place or nil
      self.held[place] = item
    end
  end
  consider(self)
end

local function feed_held(self)
  local held = self.held
  self.held = {}
  for _, place in ipairs(held) do feed(self, held[place].header, held[place].body) end
end

-- Passes --------------------------------------------------------------------

local function is_fed(self)
  for _, topic in ipairs(REQUIRED) do
    if not self.fed[topic] then return false end
  end
  return true
end

local function decide(self)
  self.is_dirty = false
  self.pass = { began_ms = self.timer.now_ms(), snapshot = self.snapshot }
  send(self, {
    type = "decide", term = self.term, snapshot = self.snapshot, session = self.deps.session:id(),
    known_cluster = self.deps.cluster:id(), new_cluster = self.new_cluster, now = self.deps.now(),
    settling = self.deps.session:is_settling(), placement = self.deps.placement and self.deps.placement(),
  })
  expect_answer(self, "decide")
end

--- Starts a pass when there is something to decide, and everything to decide it from.
function consider(self)
  if not self.planner or self.pass or self.pause or not self.configured then return end
  if not self.is_dirty or not is_fed(self) or not self.deps.may_write(self.term) then return end
  local wait_ms = self.work:wait_ms(0)
  if wait_ms == 0 then return decide(self) end
  self.pause = self.timer.after(wait_ms, function()
    self.pause = nil
    consider(self)
  end)
end

--- Asks for an audit: at once at first, later each time while writes are refused.
local function audit_after_refusal(self)
  local delay_ms = self.refusals == 0 and 0 or math.min(REFUSED_CEILING_MS, RETRY_FIRST_MS * 2 ^ math.min(self.refusals, 10))
  self.refusals = self.refusals + 1
  cancel(self, "audit_wait")
  self.audit_wait = self.timer.after(math.ceil(delay_ms), function()
    self.audit_wait = nil
    if self.planner then self.feeds:audit() end
  end)
end

local function finish_pass(self)
  end_pass(self)
  self.failures = 0
  self.problems:clear("planner")
  feed_held(self)
  consider(self)
end

local ON_COMMIT_END = {
  done = function(self)
    self.refusals = 0
    self.problems:clear("commit/write")
    -- The first decision of a new cluster gave it its id.
    if not self.deps.cluster:id() then self.deps.cluster:verify() end
  end,
  refused = function(self)
    if self.deps.on_refused then self.deps.on_refused() end
    audit_after_refusal(self)
  end,
  failed = function(self, err)
    self.problems:set("commit/write", ("a decision was not written: %s; what stands there is read again"):format(err.message))
    audit_after_refusal(self)
  end,
  stopped = function() end,
}

local function commit_batches(self, batches, moves)
  local term = self.term
  self.writes = self.writes + 1
  self.commit = commit.run({
    client = self.deps.client, batches = batches,
    may_write = function() return self.term == term and self.deps.may_write(term) end,
    on_answer = function(number, status, body)
      send(self, { type = "committed", batch = number, status = status }, body)
    end,
    on_end = function(how, err, is_unsure)
      self.commit, self.writes = nil, self.writes + 1
      if is_unsure then self.fence:doubt() end
      for _, text in ipairs(how == "done" and moves or {}) do self.log.info("rebalance: " .. text) end
      ON_COMMIT_END[how](self, err)
      if self.pass then finish_pass(self) end
    end,
  })
end

--- Time alone will change the decision: after an outage it waits for nodes that may be late, the grace of a node will be over, and
-- what may not start in this second may in the next.
local function decide_again_later(self, delay_ms)
  cancel(self, "retry")
  self.retry = self.timer.after(delay_ms, function()
    self.retry = nil
    self.is_dirty = true
    consider(self)
  end)
end

local ON_MESSAGE = {}

function ON_MESSAGE.configured(self, header)
  cancel(self, "deadline")
  if not header.ok then
    return self.problems:set("policy", ("the policy cannot be used: %s; nothing is decided"):format(tostring(header.error)))
  end
  self.policy, self.configured, self.is_dirty = self.offered, true, true
  self.problems:clear("policy")
  consider(self)
end

function ON_MESSAGE.decision(self, header, body)
  local pass = self.pass
  -- Of an earlier term or snapshot: somebody else decides by now, or on something else.
  if not pass or pass.decided or header.term ~= self.term or header.snapshot ~= pass.snapshot then
    self.decisions:dropped()
    return
  end
  local batches, err = outcome.batches(header, body)
  if not batches then return replace_planner(self, err) end
  pass.decided = true
  cancel(self, "deadline")
  local took_ms = self.timer.now_ms() - pass.began_ms
  self.work:take(took_ms)
  self.decisions:take(header, #batches, took_ms)
  self.feeds:follow_status(outcome.status_hosts(header))
  self.feeds:follow_load(outcome.load_hosts(header))
  if header.audit and not self.audit_wait then self.feeds:audit() end
  self.feeds:follow_confirmations(header.awaits_confirmation == true)
  if header.retry then
    decide_again_later(self, DECIDE_AGAIN_MS)
  elseif math.type(header.retry_s) == "integer" and header.retry_s > 0 then
    decide_again_later(self, math.min(header.retry_s, LONGEST_RETRY_S) * 1000)
  end
  if header.frozen then self.deps.cluster:verify() end
  if #batches == 0 then return finish_pass(self) end
  commit_batches(self, batches, outcome.moves(header))
end

function ON_MESSAGE.error(self, header)
  replace_planner(self, "it said: " .. tostring(header.message))
end

--- Takes a message of the planner; one that makes no sense ends it.
function Leader:take_message(bytes)
  local header, body = frame.decode(bytes)
  local take = header and ON_MESSAGE[header.type]
  if not take then return replace_planner(self, "it sent something that is no message") end
  take(self, header, body)
end

-- Public --------------------------------------------------------------------

--- A term begins: a planner is started and fed everything.
-- @tparam integer term
function Leader:start(term)
  assert(not self.term, "this agent leads already")
  self.term, self.failures, self.refusals = term, 0, 0
  self.fed, self.held, self.is_dirty = {}, {}, false
  self.new_cluster = self.deps.codec.uuid()
  self.fence:doubt() -- of a term before, by the same session
  self.work = bucket.new({ timer = self.timer, burst = WORK_BURST_MS, per_ms = WORK_PER_MS })
  self.audits = self.timer.every(AUDIT_MS, function() self:audit() end)
  start_planner(self)
end

--- The term is over: nothing more is written, the planner ends.
function Leader:stop()
  if not self.term then return end
  self.term, self.policy = nil, nil
  self.switch:stop()
  drop_planner(self)
  cancel(self, "restart")
  cancel(self, "audits")
  cancel(self, "audit_wait")
  self.decisions:clear()
  for _, key in ipairs({ "planner", "policy", "policy/next", "commit/write" }) do self.problems:clear(key) end
end

--- Reads again what stands in Consul, and decides on it.
function Leader:audit()
  if self.planner then self.feeds:audit() end
end

--- The store was in doubt and is not any more: what the planner knew of it counts for nothing, another one starts
-- with an empty head.
function Leader:start_over()
  if not self.term then return end
  drop_planner(self)
  cancel(self, "restart")
  cancel(self, "audit_wait")
  start_planner(self)
end

--- The policy or its options may have changed: another one is tried, and takes over in a planner of its own. One that cannot be
-- used leaves the one before in use.
function Leader:reconfigure()
  if not self.term then return end
  -- What ended the planner before may have been the policy that is replaced now: no long wait for it.
  self.failures = 0
  if self.policy then
    self.switch:consider(self.policy, self.deps.policy())
  elseif self.planner then
    configure(self)
  end
  if self.restart then
    cancel(self, "restart")
    start_planner(self)
  elseif self.planner and not Switch.same((self.deps.shadow or no_policy)(), self.shadow_policy) then
    self:start_over()
  end
  -- By which terms is placed and moved may have changed, too.
  self.is_dirty = true
  consider(self)
end

--- What `status` shows of the leader.
-- @treturn ?table nil when this agent does not lead; else {term, stage ("starting", "idle", "deciding", "committing"),
--   planner_pid, snapshot, policy (nil or {name, hash, from}), trying (nil or the name of a policy under trial), shadow (see
--   Shadow:status), outcomes (how many decisions ended how), failures (of the last decision), rebalance (text: how moves for
--   balance stand; nil where nobody asked for them),
--   last_decision (nil or {at, outcome, frozen, summary, batches, took_ms}), dropped}
function Leader:status()
  if not self.term then return nil end
  local stage = "starting"
  if self.commit then
    stage = "committing"
  elseif self.pass then
    stage = "deciding"
  elseif self.configured and is_fed(self) then
    stage = "idle"
  end
  return {
    term = self.term, stage = stage, planner_pid = self.planner and self.planner:pid(), snapshot = self.snapshot,
    policy = self.policy and {
      name = self.policy.name, hash = self.deps.codec.sha256(self.policy.source), from = self.policy.from,
    },
    trying = self.switch:candidate(), shadow = self.shadow:status(), outcomes = self.decisions.counts,
    failures = self.decisions.failures, rebalance = self.decisions.balance,
    last_decision = self.decisions.last, dropped = self.decisions.dropped_count,
  }
end

return M
