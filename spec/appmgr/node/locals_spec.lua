local Locals = require("appmgr.node.locals")
local Problems = require("appmgr.problems")
local State = require("appmgr.node.state")
local application = require("appmgr.application")
local core = require("spec.support.core")
local fake_file = require("spec.support.fake_file")
local fake_log = require("spec.support.fake_log")

local FILE = "/state/applications.json"

describe("the local applications", function()
  local file, problems, locals, changes

  --- An agent's start on what the state directory holds.
  local function start(...)
    problems = Problems.new({ log = fake_log.new(), now = os.time })
    local state = assert(State.open({
      file = file, json = core.json, problems = problems, path = "/state",
      node = "alpha", machine_id = "m",
    }))
    changes = 0
    locals = Locals.new({
      state = state, problems = problems, json = core.json, on_change = function() changes = changes + 1 end,
    })
    return locals:configure({ ... }, "/etc/a.json")
  end

  local function configured(name, status)
    return assert(application.read_local({ name = name, command = "sleep 1", status = status }))
  end

  --- "a=1 b=0": what is wanted.
  local function wanted()
    local list = {}
    for index, app in ipairs(locals:list()) do list[index] = ("%s=%d"):format(app.name, app.status) end
    return table.concat(list, " ")
  end

  --- What became of the only application that a change was of: its result, or nil, code and message.
  local function only(results, code, message)
    if not results then return nil, code, message end
    assert.equal(1, #results)
    local refusal = results[1].error
    if refusal then return nil, refusal.code, refusal.message end
    return results[1]
  end

  local function item(document)
    return { document = document, app = assert(application.read_local(document)) }
  end

  --- What became of each: an outcome, or the code of a refusal.
  local function outcomes(results)
    local list = {}
    for index, result in ipairs(results) do list[index] = result.outcome or result.error.code end
    return list
  end

  local function add(document) return only(locals:add({ item(document) })) end
  local function remove(name) return only(locals:remove({ name })) end
  local function set_status(name, status) return only(locals:set_status({ name }, status)) end

  before_each(function()
    file = fake_file.new()
    start(configured("a"))
  end)

  it("are the configuration's, and those that were added, also after a start and a reload", function()
    assert.same({ name = "c", outcome = "created" }, add({ name = "c", command = "sleep 3" }))
    assert.same({ name = "b", outcome = "created" }, add({ name = "b", command = "sleep 2" }))
    assert.equal("a=1 b=1 c=1", wanted())
    assert.equal(2, changes)
    start(configured("a"), configured("z"))
    assert.equal("a=1 z=1 b=1 c=1", wanted())
    locals:configure({}, "/etc/a.json")
    assert.equal("b=1 c=1", wanted())
    assert.same({ name = "b", outcome = "removed" }, remove("b"))
    start()
    assert.equal("c=1", wanted())
    assert.same({}, problems:list())
  end)

  it("that were added are changed by adding them again, and not written when they are the same", function()
    add({ name = "b", command = "sleep 2" })
    local writes = file.writes
    assert.equal("unchanged", add({ command = "sleep 2", name = "b" }).outcome)
    assert.equal(writes, file.writes)
    assert.equal("updated", add({ name = "b", command = "sleep 3" }).outcome)
    assert.equal("sleep 3", locals:list()[2].command)
  end)

  it("are refused when the name is the configuration's", function()
    local _, code, text = add({ name = "a", command = "x" })
    assert.equal("conflict", code)
    assert.matches("stands in the configuration %(/etc/a.json%)", text)
    _, code, text = remove("a")
    assert.equal("conflict", code)
    assert.matches("/etc/a.json.*app disable a", text)
    _, code, text = remove("aa")
    assert.equal("not_found", code)
    assert.matches('did you mean "a"', text)
    assert.equal(0, changes)
  end)

  it("are changed many at a time: one write, one change, and a result for each", function()
    local writes = file.writes
    local results = locals:add({
      item({ name = "c", command = "x" }), item({ name = "a", command = "x" }), item({ name = "b", command = "x" }),
      item({ name = "c", command = "x" }), item({ name = "c", command = "y" }),
    })
    assert.same({ "created", "conflict", "created", "unchanged", "updated" }, outcomes(results))
    assert.equal("a=1 b=1 c=1", wanted())
    assert.same({ writes + 1, 1 }, { file.writes, changes })
    assert.same({ "disabled", "not_found", "disabled", "unchanged" }, outcomes(locals:set_status({ "a", "z", "b", "a" }, 0)))
    assert.equal("a=0 b=0 c=1", wanted())
    assert.same({ writes + 2, 2 }, { file.writes, changes })
    assert.same({ "removed", "conflict", "not_found", "removed" }, outcomes(locals:remove({ "b", "a", "b", "c" })))
    assert.equal("a=0", wanted())
    assert.same({ writes + 3, 3 }, { file.writes, changes })
    start(configured("a"))
    assert.equal("a=0", wanted())
  end)

  it("of which none is changed are neither written nor told", function()
    locals:add({ item({ name = "b", command = "x" }) })
    local writes = file.writes
    locals:add({ item({ name = "b", command = "x" }), item({ name = "a", command = "x" }) })
    locals:set_status({ "a", "b" }, 1)
    locals:remove({ "a", "z" })
    assert.same({}, locals:remove({}))
    assert.same({ writes, 1 }, { file.writes, changes })
  end)

  it("that a change is not of stay the very same ones", function()
    locals:add({ item({ name = "b", command = "x" }), item({ name = "c", command = "x" }) })
    locals:set_status({ "b" }, 0)
    local before = { table.unpack(locals:list()) }
    locals:add({ item({ name = "d", command = "x" }), item({ name = "c", command = "y" }) })
    local list = locals:list()
    assert.equal(before[1], list[1])
    assert.equal(before[2], list[2])
    assert.equal("b=0", ("%s=%d"):format(list[2].name, list[2].status))
    assert.equal("y", list[3].command)
    locals:set_status({ "b" }, 1)
    assert.equal("a=1 b=1 c=1 d=1", wanted())
  end)

  it("are told the nearest name for the first few that are not known", function()
    local results = locals:remove({ "aa", "ab", "ac", "ad" })
    for index = 1, 3 do assert.matches('did you mean "a"', results[index].error.message) end
    assert.matches('"appmgr app ls" lists', results[4].error.message)
  end)

  it("of the configuration win over one that was added, which is told until it is removed", function()
    add({ name = "b", command = "sleep 2" })
    locals:configure({ configured("a"), configured("b") }, "/etc/a.json")
    assert.equal("a=1 b=1", wanted())
    assert.equal("sleep 1", locals:list()[2].command)
    assert.matches("added by hand and stands in the configuration", problems:list()[1].text)
    assert.equal("removed", remove("b").outcome)
    assert.equal("a=1 b=1", wanted())
    assert.same({}, problems:list())
  end)

  it("stay enabled or disabled as was said, until the other is said", function()
    assert.same({ name = "a", outcome = "disabled" }, set_status("a", 0))
    assert.equal("unchanged", set_status("a", 0).outcome)
    assert.equal("a=0", wanted())
    start(configured("a"))
    assert.equal("a=0", wanted())
    assert.equal("enabled", set_status("a", 1).outcome)
    start(configured("a"))
    assert.equal("a=1", wanted())
    add({ name = "b", command = "x", status = 0 })
    assert.equal("enabled", set_status("b", 1).outcome)
    start(configured("a"))
    assert.equal("a=1 b=1", wanted())
    local _, code = set_status("none", 0)
    assert.equal("not_found", code)
  end)

  it("follow their document again once its status has changed", function()
    set_status("a", 0)
    locals:configure({ configured("a", 0) }, "/etc/a.json")
    start(configured("a", 1))
    assert.equal("a=1", wanted())
    add({ name = "b", command = "x" })
    set_status("b", 0)
    add({ name = "b", command = "x", status = 0 })
    add({ name = "b", command = "x", status = 1 })
    start(configured("a"))
    assert.equal("a=1 b=1", wanted())
  end)

  it("are not changed when the disk refuses", function()
    file.refuse[FILE] = "No space left on device"
    for _, change in ipairs({
      function() return add({ name = "b", command = "x" }) end,
      function() return set_status("a", 0) end,
    }) do
      local _, code, text = change()
      assert.equal("failed", code)
      assert.matches("No space left", text)
    end
    assert.equal("a=1", wanted())
    assert.equal(0, changes)
  end)

  it("that are not known because the file is broken are held, and nothing is changed until it is repaired", function()
    add({ name = "b", command = "x" })
    local good = file.texts[FILE]
    for _, broken in ipairs({ "{", "7", '{"added":[1],"status":{}}', '{"added":{}}' }) do
      file.texts[FILE] = broken
      start(configured("a"))
      assert.equal("a=1", wanted())
      assert.is_true(locals:held_names().all)
      assert.matches("is not known", problems:list()[1].text)
      for _, change in ipairs({ remove, set_status }) do
        local _, code, text = change("b", 0)
        assert.equal("failed", code)
        assert.matches("applications.json", text)
      end
      assert.equal(broken, file.texts[FILE])
    end
    file.texts[FILE] = good
    locals:configure({ configured("a") }, "/etc/a.json")
    assert.equal("a=1 b=1", wanted())
    assert.is_false(locals:held_names().all)
    assert.same({}, problems:list())
  end)

  it("of which one document cannot be used any more harm no other", function()
    file.texts[FILE] = '{"added":{"b":{"name":"b","command":"x","fancy":1},"c":{"name":"c","command":"x"}},"status":{}}'
    start(configured("a"))
    assert.equal("a=1 c=1", wanted())
    assert.same({ all = false, names = { b = true } }, locals:held_names())
    assert.matches("fancy", problems:list()[1].text)
    local _, code, text = set_status("b", 0)
    assert.equal("conflict", code)
    assert.matches("appmgr status", text)
    assert.is_true(locals:is_added("b"))
    assert.equal("removed", remove("b").outcome)
    assert.same({}, problems:list())
  end)
end)
