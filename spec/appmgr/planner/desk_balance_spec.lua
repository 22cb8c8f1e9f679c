--- Moves for balance in a whole cluster: from the documents to the documents, with leaders that come and go.
local assignment = require("appmgr.assignment")
local core = require("spec.support.core")
local desk_cluster = require("spec.support.desk_cluster")

local TERMS = { max_moves = 2, interval_seconds = 60, margin = 0.1 }

-- Six single replicas on alpha and beta; gamma joined afterwards.
local function joined(terms)
  local cluster = desk_cluster.three_nodes({ placement = { session_ttl = 0 } })
  cluster:lose("gamma")
  for number = 1, 6 do cluster:task("t" .. number) end
  cluster:settle()
  cluster.placement.rebalance = terms
  cluster:node("gamma")
  return cluster
end

local function counts(cluster)
  local slots = cluster:slots()
  local list = {}
  for position, host in ipairs({ "alpha", "beta", "gamma" }) do list[position] = desk_cluster.count(slots, host) end
  return list
end

-- Turns with nothing but what the leader waits for, until it waits for nothing more; each task runs all the time.
local function balance(cluster)
  for _ = 1, 200 do
    local header, written = cluster:turn()
    local running = cluster:running()
    for number = 1, 6 do
      local runs = 0
      for slot in pairs(running) do
        if slot:match("^(.*)%.") == "t" .. number then runs = runs + 1 end
      end
      assert.is_true(runs >= 1, "t" .. number .. " does not run")
    end
    if written == 0 and #header.status_hosts == 0 and not header.retry_s then return end
    if header.retry_s then cluster.now = cluster.now + header.retry_s end
  end
  error("it does not end")
end

local function moved_records(cluster)
  local list = {}
  for _, name in ipairs(cluster:node_names()) do
    for _, replica in ipairs(assignment.parse(cluster.store:value("assignment/" .. name), core.json) or {}) do
      list[#list + 1] = replica.moved
    end
  end
  return list
end

-- What a planner says that is only asked.
local function ask_another(cluster, header)
  local asked = desk_cluster.three_nodes()
  asked.store, asked.now = cluster.store, cluster.now
  asked:elect()
  asked:feed_all()
  header.now, header.placement = cluster.now, cluster.placement
  return asked.desk:handle(header, "")
end

describe("a node that joins", function()
  it("gets nothing of what runs where nobody asked for it", function()
    local cluster = joined(nil)
    cluster:settle()
    assert.same({ 3, 3, 0 }, counts(cluster))
    assert.is_nil(cluster.last.balance)
    assert.is_nil(cluster.last.retry_s)
  end)

  it("gets its share where somebody did, and nothing stops before its successor runs", function()
    local cluster = joined(TERMS)
    balance(cluster)
    assert.same({ 2, 2, 2 }, counts(cluster))
    assert.equal(2, #moved_records(cluster))
    assert.equal("nothing would be better off elsewhere", cluster.last.balance.text)
  end)

  it("is told of in words, and the leader comes back when it may go on", function()
    local cluster = joined({ max_moves = 1, interval_seconds = 60, margin = 0.1 })
    cluster.audit_due_at = cluster.now
    local header = cluster:turn()
    assert.same({ "t1.0 moves from alpha to gamma as t1.1: score -2 → 0" }, header.balance.moves)
    assert.truthy(table.concat(header.summary, "\n"):find("t1.1 → gamma (moved for balance from alpha: score -2 → 0)", 1, true))
    for _ = 1, 12 do header = cluster:turn() end
    assert.equal("waits: 1 of 1 moves within 60 s were begun", header.balance.text)
    assert.is_true(header.retry_s > 30 and header.retry_s <= 60)
  end)

  it("gets no more within an interval from a leader that is new", function()
    local cluster = joined({ max_moves = 1, interval_seconds = 600, margin = 0.1 })
    for _ = 1, 40 do
      cluster:turn()
      if cluster.now % 3 == 0 then cluster:elect() end
    end
    assert.equal(1, #moved_records(cluster))
    cluster.now = cluster.now + 600
    for _ = 1, 20 do cluster:turn() end
    assert.equal(2, #moved_records(cluster))
  end)

  it("keeps what came to it with a leader that is new, whatever was under way", function()
    for turns = 1, 6 do
      local cluster = joined({ max_moves = 1, interval_seconds = 60, margin = 0.1 })
      for _ = 1, turns do cluster:turn() end
      cluster.placement.rebalance = nil
      cluster:elect()
      for _ = 1, 12 do cluster:turn() end
      assert.same({ 2, 3, 1 }, counts(cluster), turns .. " turns")
      assert.equal(1, #moved_records(cluster))
    end
  end)

  it("does not get what does not come up there; the other one stays", function()
    local cluster = joined(TERMS)
    cluster.lazy = function(name) return name == "gamma" end
    for _ = 1, 20 do cluster:turn() end
    local running = cluster:running()
    for number = 1, 6 do assert.is_truthy(running[("t%d.0"):format(number)]) end
    assert.equal(2, #moved_records(cluster))
    assert.truthy(cluster.last.balance.text:find("^under way: t1.0 moves from alpha to t1.1 on gamma"))
    cluster:lose("gamma")
    for _ = 1, 10 do cluster:turn() end
    assert.same({ 3, 3, 0 }, counts(cluster))
    assert.same({}, moved_records(cluster))
  end)

  it("waits while a brake does", function()
    local cluster = joined(nil)
    cluster:task("big", { replication = 9, max_per_node = 9 })
    cluster:settle()
    cluster:task("more", { replication = 1 })
    cluster.placement.rebalance = TERMS
    cluster.store:delete("task/big")
    for _ = 1, 5 do cluster:turn() end
    assert.is_truthy(cluster:problem("brake"))
    assert.equal('waits for task "big", which is changing', cluster.last.balance.text)
    assert.same({}, moved_records(cluster))
  end)

  it("is planned no further than the moves that begin next", function()
    local cluster = joined({ max_moves = 1, interval_seconds = 60, margin = 0.1 })
    local answer = ask_another(cluster, { type = "plan" })
    assert.same({ true, 1 }, { answer.way.is_whole, #answer.way.tasks })
    -- One that is under way is gone to its end, and no other begins while it is.
    cluster.audit_due_at = cluster.now
    cluster:turn()
    answer = ask_another(cluster, { type = "plan" })
    assert.matches("^under way: t1.0 moves", answer.balance)
    assert.same({ true, 1 }, { answer.way.is_whole, #answer.way.tasks })
    local ended = answer.way.tasks[1].steps[1]
    assert.same({ "end", "t1", "alpha" }, { ended.step, ended.task, ended.node })
    -- Nobody asks for it: nothing of it is planned.
    cluster = joined(nil)
    answer = ask_another(cluster, { type = "plan" })
    assert.is_nil(answer.balance)
    assert.same({ true, 0 }, { answer.way.is_whole, answer.way.steps })
  end)

  it("is asked for, told of and explained by a planner that is only asked", function()
    local cluster = joined(TERMS)
    local function ask(header) return ask_another(cluster, header) end
    local answer = ask({ type = "plan" })
    assert.equal("2 moves would begin", answer.balance)
    assert.equal("moved for balance from alpha: score -2 → 0", answer.tasks[1].steps[1].why)
    assert.is_true(answer.way.is_whole)
    assert.same({ "t1", "t2" }, { answer.way.tasks[1].name, answer.way.tasks[2].name })
    local ended, started = table.unpack(answer.way.tasks[1].steps)
    assert.same({ "end", "alpha", "start", "gamma" }, { ended.step, ended.node, started.step, started.node })
    assert.equal("moved for balance from alpha: score -2 → 0", started.why)
    cluster.audit_due_at = cluster.now
    cluster:turn()
    local row = ask({ type = "report" }).tasks[1]
    assert.same({ node = "gamma", slot = 1, why = "score -2 → 0" }, row.slots[1].moving_to)
    assert.is_nil(row.slots[2].moving_to)
    assert.equal("moved for balance from alpha: score -2 → 0", row.slots[2].moved)
    assert.equal(0, row.pending)
    local explained = ask({ type = "explain", task = "t1" })
    assert.same({ 1, "gamma", "moved for balance from alpha: score -2 → 0" },
      { explained.moved[1].slot, explained.moved[1].node, explained.moved[1].text })
    assert.same({}, ask({ type = "explain", task = "t6" }).moved)
  end)
end)
