local State = require("appmgr.node.state")
local Problems = require("appmgr.problems")
local core = require("spec.support.core")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("the state directory", function()
  local file, problems, log, timer

  before_each(function()
    file, log, timer = fake_file.new(), fake_log.new(), fake_timer.new()
    problems = Problems.new({ log = log, now = os.time })
  end)

  local function open(changes)
    local deps = {
      file = file, timer = timer, json = core.json, problems = problems, path = "/state", node = "alpha", machine_id = "m1",
    }
    for key, value in pairs(changes or {}) do deps[key] = value end
    return State.open(deps)
  end

  local replicas = { { task = "web", slot = 0, version = "v1", since = 5 } }
  local versions = { ["web/v1"] = { command = "sleep 1" } }

  it("is made for its owner alone, and counts the agents it has seen", function()
    local state = assert(open())
    assert.equal(448, file.directories["/state"])
    assert.equal(1, state:get("incarnation"))
    local again = assert(open())
    assert.equal(2, again:get("incarnation"))
  end)

  it("is refused when another agent holds it", function()
    file.locks["/state/lock"] = 4711
    local state, err = open()
    assert.is_nil(state)
    assert.matches("4711", err)
    assert.matches("%-%-state%-dir of its own", err)
  end)

  it("is refused when it belongs to another node", function()
    assert(open())
    local state, err = open({ node = "beta" })
    assert.is_nil(state)
    assert.matches('belongs to node "alpha", not to "beta"', err)
  end)

  it("is refused when nothing can be written there", function()
    file.refuse["/state/node.json"] = "Permission denied"
    local state, err = open()
    assert.is_nil(state)
    assert.matches("Permission denied", err)
    file.directories["/state"], file.refuse["/state"] = nil, "Read-only file system"
    state, err = open()
    assert.is_nil(state)
    assert.matches("Read%-only file system", err)
  end)

  it("gives back fields and the last assignment", function()
    local state = assert(open())
    assert(state:set("cluster", "c1"))
    assert(state:set("session", { id = "s" }))
    assert(state:save_assignment(replicas, versions))
    local again = assert(open())
    assert.equal("c1", again:get("cluster"))
    assert.same({ id = "s" }, again:get("session"))
    local kept = again:load_assignment()
    assert.same("web", kept.replicas[1].task)
    assert.same(versions, kept.versions)
  end)

  it("writes nothing that is already there", function()
    local state = assert(open())
    state:set("session", { id = "s" })
    local before = file.writes
    state:set("session", { id = "s" })
    state:set("cluster", nil)
    assert.equal(before, file.writes)
  end)

  it("that was copied from another machine gives no session, no assignment and no runs", function()
    local state = assert(open())
    state:set("session", { id = "s" })
    state:save_assignment(replicas, versions)
    state:save_runs({ a = { plan = "{}", handled = 5 } })
    local copy = assert(open({ machine_id = "m2" }))
    assert.is_nil(copy:get("session"))
    assert.is_nil(copy:load_assignment())
    assert.is_nil(copy:load_runs())
    assert.equal(1, log.count("was copied from another machine"))
  end)

  it("does not give an assignment of another cluster", function()
    local state = assert(open())
    state:set("cluster", "c1")
    state:save_assignment(replicas, versions)
    state:set("cluster", "c2")
    assert.is_nil(state:load_assignment())
  end)

  it("with half-written files goes on without them, and says so once", function()
    assert(open())
    file.texts["/state/node.json"] = '{"node":"al'
    file.texts["/state/assignment.json"] = "[1"
    local state = assert(open())
    assert.is_nil(state:load_assignment())
    assert.is_nil(state:load_assignment())
    assert.equal(1, log.count("WARN state file /state/node.json cannot be used"))
    assert.equal(1, log.count("WARN state file /state/assignment.json cannot be used"))
  end)

  it("on a full disk keeps what it holds in memory, says so, and that it is over", function()
    local state = assert(open())
    file.refuse["/state/node.json"] = "No space left on device"
    local ok, err = state:set("cluster", "c1")
    assert.is_nil(ok)
    assert.matches("No space left", err)
    assert.equal("c1", state:get("cluster"))
    file.refuse["/state/node.json"] = nil
    assert(state:set("cluster", "c2"))
    assert.same({}, problems:list())
  end)

  it("on a disk that has room again writes what was refused, without a change that asks for it", function()
    local state = assert(open())
    for _, name in ipairs({ "node", "assignment", "runs", "tasks" }) do
      file.refuse[("/state/%s.json"):format(name)] = "No space left on device"
    end
    state:set("session", { id = "s" })
    state:save_assignment(replicas, versions)
    state:save_runs({ a = { handled = 4 } })
    state:save_runs({ a = { handled = 5 } })
    state:save_tasks("[{}]")
    timer.advance(60000)
    assert.equal(4, #problems:list())
    assert.equal(1, log.count("WARN cannot keep state: /state/node.json"))
    file.refuse = {}
    timer.advance(60000)
    assert.same({}, problems:list())
    local again = assert(open())
    assert.same({ id = "s" }, again:get("session"))
    assert.equal("web", again:load_assignment().replicas[1].task)
    assert.same({ a = { handled = 5 } }, again:load_runs())
    assert.equal("[{}]", again:load_tasks().listing)
    local writes = file.writes
    timer.advance(60000)
    assert.equal(writes, file.writes)
  end)

  it("does not write an assignment that was forgotten meanwhile", function()
    local state = assert(open())
    file.refuse["/state/assignment.json"] = "No space left on device"
    state:save_assignment(replicas, versions)
    state:forget_assignment()
    assert.same({}, problems:list())
    file.refuse = {}
    timer.advance(60000)
    assert.is_nil(file.texts["/state/assignment.json"])
  end)

  it("keeps the listing of tasks as it is", function()
    local state = assert(open())
    assert.is_nil(state:load_tasks())
    assert(state:save_tasks("[{}]"))
    assert.same({ listing = "[{}]", at = 1000 }, state:load_tasks())
    file.refuse["/state/tasks.json"] = "No space left on device"
    assert.is_nil(state:save_tasks("[]"))
    assert.is_nil(state:load_tasks())
    assert.matches("No space left", problems:list()[1].text)
  end)

  it("keeps what was begun", function()
    local state = assert(open())
    assert.is_nil(state:load_runs())
    assert(state:save_runs({ a = { plan = "{}", handled = 5.5 } }))
    assert.same({ a = { plan = "{}", handled = 5.5 } }, state:load_runs())
  end)
end)
