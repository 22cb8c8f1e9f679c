local Client = require("appmgr.consul.client")
local core = require("spec.support.core")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_planner = require("spec.support.fake_planner")
local fake_timer = require("spec.support.fake_timer")
local Leader = require("appmgr.leader.leader")
local Problems = require("appmgr.problems")

local SESSION = "aaaaaaaa-0000-4000-8000-000000000000"

describe("a leader", function()
  local timer, consul, log, problems, planner, leader, client
  local may_write, settling, cluster, refused, remembered, policy, policy_error

  before_each(function()
    timer, log, planner = fake_timer.new(), fake_log.new(), fake_planner.new()
    consul = fake_consul.new(timer)
    consul.store.sessions[SESSION] = {}
    consul.store:write("appmgr/leader", '"alpha"', SESSION)
    consul.put("appmgr/task/", "")
    problems = Problems.new({ log = log, now = function() return 0 end })
    may_write, settling, refused, remembered, policy_error = true, false, 0, {}, nil
    policy = { name = "spread", source = "return {}" }
    cluster = { known = "c1", verified = 0 }
    function cluster:id() return self.known end
    function cluster:verify() self.verified = self.verified + 1 end
    client = Client.new({
      http = consul.http, log = log, codec = core.codec, json = core.json, config = {}, environment = function() end,
    })
    leader = Leader.new({
      client = client, timer = timer, random = function() return 0 end, log = log, problems = problems,
      codec = { sha256 = core.codec.sha256, uuid = function() return "new-uuid" end }, now = function() return 77 end,
      planner = planner, policy = function() return not policy_error and policy or nil, policy_error end,
      node = "alpha", cluster = cluster,
      session = { id = function() return SESSION end, is_settling = function() return settling end },
      fallback_ms = 5000, may_write = function() return may_write end, on_refused = function() refused = refused + 1 end,
      remember_tasks = function(body) remembered[#remembered + 1] = body end,
    })
  end)

  --- A batch that writes one key, fenced.
  local function batch(key, value, index)
    return client.encode_transaction({
      { verb = "check-session", key = "leader", session = SESSION },
      { verb = "cas", key = key, value = value, index = index or 0 },
    })
  end

  local function topics()
    local set = {}
    for _, message in ipairs(planner.messages("feed")) do
      set[message.header.topic] = (set[message.header.topic] or 0) + 1
    end
    return set
  end

  local function text_of(key)
    for _, problem in ipairs(problems:list()) do
      if problem.key == key then return problem.text end
    end
  end

  local function start()
    leader:start(1)
    planner.configured()
    timer.advance(5)
  end

  local function decides()
    return #planner.messages("decide")
  end

  it("gives the planner its policy and all of Consul's answers before it asks", function()
    leader:start(4)
    local configure = planner.messages("configure")[1]
    assert.same({ "alpha", "appmgr/", "spread" },
      { configure.header.node, configure.header.prefix, configure.header.policy.name })
    assert.equal("return {}", configure.body)
    timer.advance(5)
    assert.same({ task = 1, live = 1, node = 1, version = 1, audit = 1 }, topics())
    assert.equal(0, decides())
    assert.equal("starting", leader:status().stage)
    planner.configured()
    local ask = planner.messages("decide")[1].header
    assert.same({ 4, 5, SESSION, "c1", "new-uuid", 77 },
      { ask.term, ask.snapshot, ask.session, ask.known_cluster, ask.new_cluster, ask.now })
    assert.equal("deciding", leader:status().stage)
  end)

  it("tells the planner that sessions may have ended a moment ago, as its own did", function()
    settling = true
    start()
    planner.decide()
    assert.is_true(planner.messages("decide")[1].header.settling)
  end)

  it("reads consistently at first", function()
    start()
    for _, request in ipairs(consul.http.requests) do
      local first = not request.url:find("index=", 1, true)
      assert.equal(first, request.url:find("consistent", 1, true) ~= nil, request.url)
    end
  end)

  it("hands bytes on as they are", function()
    start()
    planner.decide()
    consul.put("appmgr/task/web", "{broken")
    timer.advance(3)
    local feeds = planner.messages("feed")
    local last = feeds[#feeds]
    assert.equal("task", last.header.topic)
    assert.equal(200, last.header.status)
    assert.truthy(last.body:find(core.codec.base64_encode("{broken"), 1, true))
  end)

  it("logs the moves for balance that were written, and tells how they stand", function()
    start()
    planner.decide({
      batches = { batch("assignment/a", "1") }, balance = { text = "1 move was just begun", moves = { "web.0 moves from a to b" } },
    })
    assert.equal(0, log.count("rebalance: web.0 moves from a to b"))
    timer.advance(1)
    assert.equal(1, log.count("INFO rebalance: web.0 moves from a to b"))
    assert.equal("1 move was just begun", leader:status().rebalance)
  end)

  it("logs no move for balance that was refused", function()
    start()
    consul.put("appmgr/assignment/a", "0")
    planner.decide({ batches = { batch("assignment/a", "1") }, balance = { text = "x", moves = { "web.0 moves from a to b" } } })
    timer.advance(1)
    assert.equal(0, log.count("rebalance:"))
  end)

  it("commits batches one after another and feeds the answers back", function()
    start()
    planner.decide({ batches = { batch("assignment/a", "1"), batch("assignment/b", "2") } })
    assert.equal("committing", leader:status().stage)
    assert.equal(1, #consul.http.open("txn"))
    timer.advance(1)
    assert.equal("1", consul.value("appmgr/assignment/a"))
    assert.is_nil(consul.value("appmgr/assignment/b"))
    timer.advance(1)
    assert.equal("2", consul.value("appmgr/assignment/b"))
    local answers = planner.messages("committed")
    assert.same({ 1, 200, 2, 200 }, { answers[1].header.batch, answers[1].header.status, answers[2].header.batch,
      answers[2].header.status })
    assert.truthy(answers[1].body:find("ModifyIndex", 1, true))
    assert.equal("idle", leader:status().stage)
  end)

  it("takes what arrives during a pass together with the next, the last of each only", function()
    start()
    for i = 1, 3 do
      consul.put("appmgr/task/web", tostring(i))
      consul.put("appmgr/live/b" .. i, "{}")
      timer.advance(3)
    end
    assert.equal(1, topics().task)
    planner.decide()
    assert.equal(2, decides())
    assert.same({ 2, 2 }, { topics().task, topics().live })
  end)

  it("asks again after a pass only when something was fed", function()
    start()
    planner.decide()
    timer.advance(40000)
    assert.equal(1, decides())
  end)

  it("rests when passes take more than a tenth of the time", function()
    start()
    timer.advance(2000)
    planner.decide()
    consul.put("appmgr/task/web", "1")
    timer.advance(5)
    assert.equal(1, decides())
    timer.advance(10050)
    assert.equal(2, decides())
  end)

  it("does not rest because Consul takes its time to write", function()
    start()
    planner.decide({ batches = { batch("assignment/a", "1") } })
    -- Nothing comes back for 4 s.
    timer.jump(4000)
    timer.advance(1)
    consul.put("appmgr/task/web", "1")
    timer.advance(5)
    assert.equal(2, decides())
  end)

  describe("drops a decision", function()
    before_each(start)

    for name, fields in pairs({ ["of another term"] = { term = 9 }, ["of another snapshot"] = { snapshot = 1 } }) do
      it(name, function()
        fields.batches = { batch("assignment/a", "1") }
        planner.decide(fields)
        timer.advance(10)
        assert.is_nil(consul.value("appmgr/assignment/a"))
        assert.equal(1, leader:status().dropped)
      end)
    end

    it("that comes twice", function()
      planner.decide({ batches = { batch("assignment/a", "1") } })
      planner.decide({ batches = { batch("assignment/b", "1") } })
      timer.advance(10)
      assert.is_nil(consul.value("appmgr/assignment/b"))
    end)

    it("of a planner that was replaced", function()
      local old = planner.last()
      timer.advance(6000)
      assert.equal(2, #planner.started)
      old.options.on_message("garbage")
      old.options.on_exit("late")
      assert.equal(2, #planner.started)
    end)

    it("after the term is over", function()
      local old = planner.last()
      leader:stop()
      old.options.on_message("x")
      timer.advance(100000)
      assert.equal(1, #planner.started)
      assert.is_nil(leader:status())
    end)
  end)

  describe("writes only while it may", function()
    before_each(start)

    it("and asks right before each batch", function()
      planner.decide({ batches = { batch("assignment/a", "1"), batch("assignment/b", "2") } })
      may_write = false
      timer.advance(10)
      assert.equal("1", consul.value("appmgr/assignment/a"))
      assert.is_nil(consul.value("appmgr/assignment/b"))
    end)

    it("and sends nothing when the right ended while it decided", function()
      may_write = false
      planner.decide({ batches = { batch("assignment/a", "1") } })
      timer.advance(10)
      assert.is_nil(consul.value("appmgr/assignment/a"))
      assert.equal(0, #planner.messages("committed"))
    end)

    it("and starts no pass without it", function()
      planner.decide()
      may_write = false
      consul.put("appmgr/task/web", "1")
      timer.advance(5)
      assert.equal(1, decides())
    end)

    it("and not after it was stopped", function()
      planner.decide({ batches = { batch("assignment/a", "1"), batch("assignment/b", "2") } })
      leader:stop()
      local sent = #consul.http.requests
      timer.advance(100000)
      assert.is_nil(consul.value("appmgr/assignment/b"))
      assert.is_true(planner.last().killed)
      assert.equal(sent, #consul.http.requests)
      assert.equal(1, #planner.started)
    end)
  end)

  describe("whose write is refused", function()
    before_each(function()
      consul.put("appmgr/assignment/a", "foreign")
      start()
      planner.decide({ batches = { batch("assignment/a", "1"), batch("assignment/b", "2") } })
      timer.advance(1)
    end)

    it("writes no more of it, tells the planner and reads everything again", function()
      timer.advance(5)
      assert.equal("foreign", consul.value("appmgr/assignment/a"))
      assert.is_nil(consul.value("appmgr/assignment/b"))
      assert.equal(409, planner.messages("committed")[1].header.status)
      assert.equal(1, refused)
      assert.equal(2, topics().audit)
      assert.equal(2, topics().version)
      assert.equal(2, decides())
    end)

    it("waits longer each time when it goes on", function()
      local before = #consul.http.requests
      for _ = 1, 300 do
        timer.advance(100)
        local asked = planner.messages("decide")
        local pass = leader.pass
        if #asked > 0 and pass and not pass.decided then planner.decide({ batches = { batch("assignment/a", "1") } }) end
      end
      assert.is_true(refused < 15, refused .. " refusals in 30 s")
      assert.is_true(#consul.http.requests - before < 40)
    end)
  end)

  it("reads again what it does not know to be written", function()
    start()
    planner.decide({ batches = { batch("assignment/a", "1") } })
    consul.http.only("txn").fail("timeout")
    -- The planner is told that the store may hold either.
    assert.same({ 1, 0 }, { planner.messages("committed")[1].header.batch, planner.messages("committed")[1].header.status })
    timer.advance(5)
    assert.truthy(text_of("commit/write"))
    assert.equal(2, topics().audit)
    planner.decide({ batches = { batch("assignment/a", "1") } })
    timer.advance(5)
    assert.is_nil(text_of("commit/write"))
  end)

  describe("audits", function()
    before_each(function()
      start()
      planner.decide()
    end)

    it("each 50 s", function()
      timer.advance(49000)
      assert.equal(1, topics().audit)
      timer.advance(1500)
      assert.equal(2, topics().audit)
      assert.equal(2, topics().version)
    end)

    it("when the planner asks", function()
      consul.put("appmgr/task/web", "1")
      timer.advance(3)
      planner.decide({ audit = true })
      timer.advance(3)
      assert.equal(2, topics().audit)
    end)

    it("on until it can be read, told once", function()
      consul.down = true
      leader:audit()
      timer.advance(20000)
      assert.equal(1, log.count("the leader cannot read audit"))
      consul.down = false
      timer.advance(6000)
      assert.equal(2, topics().audit)
      assert.is_nil(text_of("feeds/audit"))
    end)
  end)

  describe("feeds no audit that is older than what it wrote:", function()
    --- What the planner was fed last as an audit.
    local function last_audit()
      local body
      for _, message in ipairs(planner.messages("feed")) do
        if message.header.topic == "audit" then body = message.body end
      end
      return body
    end

    local function assert_read_again()
      assert.equal(1, topics().audit)
      assert.is_nil(last_audit():find("appmgr/assignment/a", 1, true))
      timer.advance(1000)
      assert.equal(2, topics().audit)
      assert.truthy(last_audit():find("appmgr/assignment/a", 1, true))
    end

    --- The next transaction that holds this text takes its time: to Consul, and back from there.
    local function delay_next(text, there_ms, back_ms)
      local respond = consul.http.respond
      consul.http.respond = function(request)
        if not (request.body or ""):find(text, 1, true) then return respond(request) end
        consul.http.respond = respond
        timer.after(there_ms, function()
          respond(setmetatable({ reply = function(...)
            local answer = table.pack(...)
            timer.after(back_ms, function() request.reply(table.unpack(answer, 1, answer.n)) end)
          end }, { __index = request }))
        end)
      end
    end

    before_each(start)

    it("one that came before the commit of its pass", function()
      leader:audit()
      timer.advance(3)
      planner.decide({ batches = { batch("assignment/a", "1") } })
      timer.advance(3)
      assert_read_again()
    end)

    it("one that was asked for while a batch was on its way", function()
      delay_next("appmgr/assignment/a", 5, 0)
      planner.decide({ batches = { batch("assignment/a", "1") } })
      leader:audit()
      timer.advance(20)
      assert_read_again()
    end)

    it("one whose answer comes after the pass", function()
      delay_next("appmgr/topology/", 0, 10)
      leader:audit()
      timer.advance(2)
      planner.decide({ batches = { batch("assignment/a", "1") } })
      timer.advance(20)
      assert_read_again()
    end)

    it("one that a failed commit overtakes is read again at once", function()
      delay_next("appmgr/topology/", 0, 5)
      leader:audit()
      planner.decide({ batches = { batch("assignment/a", "1") } })
      timer.advance(1)
      planner.decide()
      consul.put("appmgr/task/web", "1")
      timer.advance(2)
      planner.decide({ batches = { batch("assignment/a", "1") } })
      timer.advance(7)
      assert.equal(2, topics().audit)
      assert.truthy(last_audit():find("appmgr/assignment/a", 1, true))
    end)
  end)

  describe("ends its planner", function()
    local function replaced(reason)
      assert.truthy(text_of("planner"):find(reason, 1, true), text_of("planner"))
      assert.is_true(planner.started[1].ended)
      timer.advance(1000)
      assert.equal(2, #planner.started)
      assert.same({ task = 1, live = 1, node = 1, version = 1, audit = 1 }, topics())
      planner.configured()
      timer.advance(10)
      planner.decide()
      assert.is_nil(text_of("planner"))
    end

    before_each(start)

    it("when it does not decide in 5 s", function()
      timer.advance(4990)
      assert.equal(1, #planner.started)
      timer.advance(10)
      replaced("did not decide within 5 s")
    end)

    it("when it dies", function()
      planner.last().exit("signal 9")
      replaced("signal 9")
    end)

    it("when it says something that is no message", function()
      planner.last().options.on_message("no frame")
      replaced("no message")
    end)

    it("when it says that it cannot", function()
      planner.say({ type = "error", message = "unknown message x" })
      replaced("unknown message x")
    end)

    for name, fields in pairs({ shorter = { batch_bytes = { 5 } }, longer = { batches = { "{}" }, batch_bytes = { 1 } },
      negative = { batches = { "{}" }, batch_bytes = { -1, 3 } } }) do
      it("when its batches are " .. name .. " than it says", function()
        planner.decide(fields)
        replaced("than it says")
      end)
    end

    it("in the middle of a commit, and drops the rest of it", function()
      planner.decide({ batches = { batch("assignment/a", "1"), batch("assignment/b", "2") } })
      planner.last().exit("signal 11")
      timer.advance(10)
      assert.is_nil(consul.value("appmgr/assignment/b"))
      replaced("signal 11")
    end)

    it("again and again, later each time", function()
      for count, wait_ms in ipairs({ 200, 400, 800, 1600, 3200, 6400 }) do
        planner.last().exit("signal 9")
        timer.advance(wait_ms - 1)
        assert.equal(count, #planner.started)
        timer.advance(1)
        assert.equal(count + 1, #planner.started)
      end
    end)
  end)

  it("starts over with another planner when it is told so", function()
    leader:start_over()
    assert.equal(0, #planner.started)
    start()
    leader:start_over()
    assert.is_true(planner.started[1].killed)
    planner.configured()
    timer.advance(5)
    assert.same({ task = 1, live = 1, node = 1, version = 1, audit = 1 }, topics())
    assert.is_nil(text_of("planner"))
  end)

  it("tries again when no planner can be started", function()
    planner.broken = "cannot fork"
    leader:start(1)
    assert.truthy(text_of("planner"):find("cannot fork", 1, true))
    planner.broken = nil
    timer.advance(1000)
    assert.equal(1, #planner.started)
  end)

  describe("with a policy", function()
    it("that cannot be used decides nothing and says so", function()
      leader:start(1)
      planner.say({ type = "configured", ok = false, error = "line 3" })
      timer.advance(10)
      assert.equal(0, decides())
      assert.truthy(text_of("policy"):find("line 3; nothing is decided", 1, true))
    end)

    it("that cannot be read decides nothing and says so", function()
      policy_error = "no such file"
      leader:start(1)
      timer.advance(10)
      assert.equal(0, decides())
      assert.truthy(text_of("policy"):find("no such file", 1, true))
      policy_error = nil
      leader:reconfigure()
      planner.configured()
      assert.equal(1, decides())
      assert.is_nil(text_of("policy"))
    end)

    it("that hangs while it is read ends the planner", function()
      leader:start(1)
      timer.advance(5000)
      assert.truthy(text_of("planner"):find("did not read its policy", 1, true))
    end)

    it("that replaces one which hung is tried at once", function()
      leader:start(1)
      for _ = 1, 3 do timer.advance(5000 + 60000) end
      timer.advance(5000)
      local before = #planner.started
      leader:reconfigure()
      assert.equal(before + 1, #planner.started)
    end)

    it("that is the one in use changes nothing", function()
      start()
      leader:reconfigure()
      timer.advance(10)
      assert.equal(1, #planner.started)
    end)

    it("that ended its planner is given to the next one, whatever is configured meanwhile", function()
      start()
      policy = { name = "other", source = "return 2" }
      planner.last().exit("ended by signal 11")
      timer.advance(1000)
      assert.equal("return {}", planner.messages("configure")[1].body)
    end)
  end)

  it("shows what the planner says, and forgets it when it is over", function()
    start()
    planner.decide({ problems = { { key = "task/web", text = "no node" } }, summary = { "web.0 → alpha (new)" } })
    assert.equal("no node", text_of("cluster/plan/task/web"))
    assert.same({ "web.0 → alpha (new)" }, leader:status().last_decision.summary)
    consul.put("appmgr/task/web", "1")
    timer.advance(5)
    planner.decide({ outcome = "timeout", outcome_message = "too long", frozen = "the store has no meta" })
    assert.is_nil(text_of("cluster/plan/task/web"))
    assert.truthy(text_of("cluster/plan/outcome"):find("timeout", 1, true))
    assert.equal("the store has no meta", text_of("cluster/plan/frozen"))
    assert.equal(1, cluster.verified)
    leader:stop()
    assert.same({}, problems:list())
  end)

  it("decides again when time alone will change the decision", function()
    start()
    planner.decide({ retry = true })
    timer.advance(1000)
    assert.equal(2, decides())
  end)

  it("follows the status of the hosts that a rollout waits for, and of no others", function()
    consul.put("appmgr/status/beta/applications", '{"web":{}}')
    start()
    planner.decide({ status_hosts = { "beta", "gamma" } })
    timer.advance(5)
    assert.equal(2, decides())
    -- One that is given up stays a connection to Consul until its wait is over.
    assert.truthy(consul.http.open("status/gamma")[1].url:find("wait=5s", 1, true))
    planner.decide({ status_hosts = { "beta" } })
    assert.equal(2, topics().status)
    assert.equal(3, decides())
    local feeds = planner.messages("feed")
    assert.same({ "beta", 200, "gamma", 404 }, { feeds[6].header.host, feeds[6].header.status, feeds[7].header.host,
      feeds[7].header.status })
    assert.equal(0, #consul.http.open("status/gamma"))
    consul.put("appmgr/status/beta/applications", '{"web":{"state":"running"}}')
    timer.advance(3)
    planner.decide({ status_hosts = {} })
    timer.advance(3)
    assert.equal(0, #consul.http.open("status/"))
  end)

  it("asks who this cluster is once its first decision is written", function()
    cluster.known = nil
    start()
    assert.is_nil(planner.messages("decide")[1].header.known_cluster)
    planner.decide({ batches = { batch("meta", "{}") } })
    timer.advance(5)
    assert.equal(1, cluster.verified)
  end)

  describe("remembers the tasks", function()
    before_each(start)

    it("that a decision was made from, at most each 5 s", function()
      planner.decide()
      assert.equal(1, #remembered)
      for i = 1, 3 do
        consul.put("appmgr/task/web", tostring(i))
        timer.advance(5)
        planner.decide()
      end
      assert.equal(1, #remembered)
      timer.advance(5000)
      assert.equal(2, #remembered)
      assert.truthy(remembered[2]:find(core.codec.base64_encode("3"), 1, true))
    end)

    it("also when it stops, but not while the store is in doubt", function()
      planner.decide({ frozen = "no meta" })
      leader:stop()
      assert.equal(0, #remembered)
    end)
  end)

  it("sends at most 30 requests a minute when idle, all else of its agent counted", function()
    start()
    planner.decide()
    local function idle(seconds)
      for _ = 1, seconds do
        timer.advance(1000)
        if leader.pass then planner.decide() end
      end
    end
    idle(60)
    local before = #consul.http.requests
    idle(600)
    assert.equal(1, #planner.started)
    local per_minute = (#consul.http.requests - before) / 10
    -- beside it: renewals 6, reports 6, assignment and leader polls 4.8, membership 1.1
    assert.is_true(per_minute + 17.9 <= 30, per_minute .. " a minute")
  end)
end)
