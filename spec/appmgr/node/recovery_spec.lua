local core = require("spec.support.core")
local documents = require("appmgr.consul.documents")
local recovery = require("appmgr.node.recovery")
local support = require("spec.support.consul")

local json = core.json
local tools = {
  json = json,
  entries = function(body) return documents.entries(body, "appmgr/", { json = json, codec = core.codec }) end,
}

local function replica(task, slot, since, version)
  return { task = task, slot = slot, version = version or "v1", since = since or 10 }
end

local function memory(node, replicas, fields)
  local facts = { node = node, cluster = "c1", assignment = { replicas = replicas, versions = {} } }
  for name, value in pairs(fields or {}) do
    if name == "versions" then facts.assignment.versions = value else facts[name] = value end
  end
  return assert(recovery.parse_memory(recovery.encode_memory(facts, json), json))
end

local function plan(memories, store)
  store = store or {}
  return recovery.plan("c1", memories, {
    tasks = store.tasks or {}, assignments = store.assignments or {}, meta_index = store.meta_index,
  }, tools)
end

local WEB = { ["web/v1"] = { name = "web", command = "sleep 1" } }

describe("a memory", function()
  it("survives its text", function()
    local read = memory("a", { replica("web", 0) }, { versions = WEB, tasks = { listing = "[]", at = 5 } })
    assert.same({ "a", "c1", 5 }, { read.node, read.cluster, read.tasks.at })
    assert.equal("web", read.replicas[1].task)
    assert.equal("sleep 1", read.versions["web/v1"].command)
  end)

  it("of a node without an assignment is empty", function()
    local text = recovery.encode_memory({ node = "a", cluster = "c1" }, json)
    assert.truthy(text:find('"replicas":[]', 1, true))
    assert.same({}, recovery.parse_memory(text, json).replicas)
  end)

  it("gives up tasks first, then versions, when it is too large", function()
    local big = ("x"):rep(400 * 1024)
    local read = memory("a", { replica("web", 0) }, { versions = WEB, tasks = { listing = big .. big } })
    assert.is_nil(read.tasks)
    assert.is_true(read.truncated)
    assert.truthy(read.versions["web/v1"])
    read = memory("a", { replica("web", 0) }, { versions = { ["web/v1"] = { command = big .. big } } })
    assert.same({}, read.versions)
    assert.equal(1, #read.replicas)
  end)

  for name, text in pairs({ ["no JSON"] = "{", ["a list"] = "[]", ["no node"] = '{"cluster":"c","replicas":[]}',
    ["no replicas"] = '{"node":"a","cluster":"c"}', ["a bad replica"] = '{"node":"a","cluster":"c","replicas":[{}]}' }) do
    it("is refused when it is " .. name, function()
      assert.is_nil((recovery.parse_memory(text, json)))
    end)
  end
end)

describe("a plan to restore", function()
  it("takes the tasks of the newest listing", function()
    local function listing(document)
      return support.listing({ { key = "appmgr/task/" }, { key = "appmgr/task/web", value = document } })
    end
    local result = plan({
      memory("b", {}, { tasks = { listing = listing("old"), at = 1 } }),
      memory("a", {}, { tasks = { listing = listing("new"), at = 2 } }),
    })
    assert.same({ { name = "web", document = "new", source = "listing of a" } }, result.tasks)
    assert.same({ "a", "b" }, { result.hosts[1].node, result.hosts[2].node })
  end)

  it("rebuilds tasks from what runs when no listing has them", function()
    local result = plan({
      memory("a", { replica("web", 0, 5, "v1") }, { versions = WEB }),
      memory("b", { replica("web", 2, 9, "v2") }, { versions = { ["web/v2"] = { name = "web", command = "new" } } }),
    })
    assert.equal("replicas", result.tasks[1].source)
    assert.same({ content = { name = "web", command = "new" }, replication = 3 }, json.decode(result.tasks[1].document))
    assert.same({ "web/v1", "web/v2" }, { result.versions[1].name, result.versions[2].name })
  end)

  it("does not bring back a task whose replicas were leaving", function()
    local leaving = replica("web", 0)
    leaving.leaving = true
    local result = plan({ memory("a", { leaving }, { versions = WEB }) })
    assert.same({}, result.tasks)
    assert.equal(1, #result.hosts[1].replicas)
  end)

  it("keeps a slot on the host that had it first", function()
    local result = plan({
      memory("a", { replica("web", 0, 20) }, { versions = WEB }), memory("b", { replica("web", 0, 10) }),
    })
    assert.same({ true, nil }, { result.hosts[1].replicas[1].leaving, result.hosts[2].replicas[1].leaving })
    assert.same({ 1, 1 }, { #result.hosts[1].replicas, #result.hosts[2].replicas })
    assert.truthy(result.notes[1]:find("it stays on b", 1, true))
  end)

  it("keeps a slot that was on its way where it went, and has it leave where it was", function()
    local leaving = replica("web", 0, 10)
    leaving.leaving = true
    local result = plan({ memory("a", { leaving }, { versions = WEB }), memory("b", { replica("web", 0, 20) }) })
    assert.same({ true, nil }, { result.hosts[1].replicas[1].leaving, result.hosts[2].replicas[1].leaving })
    assert.same({ 1, 1 }, { #result.hosts[1].replicas, #result.hosts[2].replicas })
  end)

  it("leaves tasks that stand in the store, and knows what it replaces", function()
    local result = plan({ memory("a", { replica("web", 0) }, { versions = WEB }) },
      { tasks = { web = true }, assignments = { a = 7 }, meta_index = 3 })
    assert.same({}, result.tasks)
    assert.equal(7, result.hosts[1].index)
    assert.equal(3, result.meta_index)
    assert.truthy(result.notes[1]:find("already", 1, true))
  end)

  it("leaves out who remembers another cluster, and says so", function()
    local result = plan({ memory("a", {}), memory("b", { replica("web", 0) }, { cluster = "c2" }) })
    assert.equal(1, #result.hosts)
    assert.truthy(result.notes[1]:find("another cluster", 1, true))
  end)

  it("says whose content is lost, and which listing is broken", function()
    local result = plan({ memory("a", { replica("web", 0) }, { tasks = { listing = "{", at = 1 } }) })
    assert.same({}, result.tasks)
    assert.equal(2, #result.notes)
  end)

  it("survives JSON", function()
    local result = plan({ memory("a", {}) })
    assert.truthy(json.encode(result):find('"tasks":[]', 1, true))
  end)
end)

describe("the transactions of a plan", function()
  it("write versions, tasks, assignments, and meta last", function()
    local result = plan({ memory("a", { replica("web", 0) }, { versions = WEB }) })
    local batches = recovery.batches(result, {}, json)
    local lines = {}
    for i, operation in ipairs(batches[1]) do
      lines[i] = ("%s %s %s"):format(operation.verb, operation.key, operation.index or "")
    end
    assert.same({ "cas task/ 0", "cas version/web/v1 0", "cas task/web 0", "cas assignment/a 0", "set topology/a ",
      "cas meta 0" }, lines)
    assert.equal('["web"]', batches[1][5].value)
    assert.equal('{"cluster":"c1","schema":1}', batches[1][6].value)
  end)

  it("leave out what stands", function()
    local result = plan({ memory("a", {}, { versions = WEB }) })
    local batches = recovery.batches(result, { ["task/"] = true, ["version/web/v1"] = true }, json)
    assert.equal("assignment/a", batches[1][1].key)
  end)

  it("hold at most 60 operations and 480 KiB each", function()
    local memories = {}
    for i = 1, 100 do memories[i] = memory(("n%03d"):format(i), {}) end
    local batches = recovery.batches(plan(memories), {}, json)
    assert.equal(4, #batches)
    for _, batch in ipairs(batches) do assert.is_true(#batch <= 60) end
    local versions = {}
    for i = 1, 6 do versions["web/v" .. i] = { command = ("x"):rep(70 * 1024) } end
    batches = recovery.batches(plan({ memory("a", {}, { versions = versions }) }), {}, json)
    for _, batch in ipairs(batches) do
      local bytes = 0
      for _, operation in ipairs(batch) do bytes = bytes + #operation.value * 4 // 3 end
      assert.is_true(bytes <= 480 * 1024)
    end
    assert.equal("meta", batches[#batches][#batches[#batches]].key)
  end)
end)
