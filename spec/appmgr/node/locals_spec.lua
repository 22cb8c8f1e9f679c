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

  before_each(function()
    file = fake_file.new()
    start(configured("a"))
  end)

  it("are the configuration's, and those that were added, also after a start and a reload", function()
    assert.same({ name = "c", outcome = "created" }, locals:add({ name = "c", command = "sleep 3" }))
    assert.same({ name = "b", outcome = "created" }, locals:add({ name = "b", command = "sleep 2" }))
    assert.equal("a=1 b=1 c=1", wanted())
    assert.equal(2, changes)
    start(configured("a"), configured("z"))
    assert.equal("a=1 z=1 b=1 c=1", wanted())
    locals:configure({}, "/etc/a.json")
    assert.equal("b=1 c=1", wanted())
    assert.same({ name = "b", outcome = "removed" }, locals:remove("b"))
    start()
    assert.equal("c=1", wanted())
    assert.same({}, problems:list())
  end)

  it("that were added are changed by adding them again, and not written when they are the same", function()
    locals:add({ name = "b", command = "sleep 2" })
    local writes = file.writes
    assert.equal("unchanged", locals:add({ command = "sleep 2", name = "b" }).outcome)
    assert.equal(writes, file.writes)
    assert.equal("updated", locals:add({ name = "b", command = "sleep 3" }).outcome)
    assert.equal("sleep 3", locals:list()[2].command)
  end)

  it("are refused when the document is wrong, or the name is the configuration's", function()
    local _, code, text = locals:add({ name = "b", comand = "x" })
    assert.equal("bad_request", code)
    assert.matches('did you mean "command"', text)
    _, code, text = locals:add({ name = "a", command = "x" })
    assert.equal("conflict", code)
    assert.matches("stands in the configuration %(/etc/a.json%)", text)
    _, code, text = locals:remove("a")
    assert.equal("conflict", code)
    assert.matches("/etc/a.json.*app disable a", text)
    _, code, text = locals:remove("aa")
    assert.equal("not_found", code)
    assert.matches('did you mean "a"', text)
    assert.equal(0, changes)
  end)

  it("of the configuration win over one that was added, which is told until it is removed", function()
    locals:add({ name = "b", command = "sleep 2" })
    locals:configure({ configured("a"), configured("b") }, "/etc/a.json")
    assert.equal("a=1 b=1", wanted())
    assert.equal("sleep 1", locals:list()[2].command)
    assert.matches("added by hand and stands in the configuration", problems:list()[1].text)
    assert.equal("removed", locals:remove("b").outcome)
    assert.equal("a=1 b=1", wanted())
    assert.same({}, problems:list())
  end)

  it("stay enabled or disabled as was said, until the other is said", function()
    assert.same({ name = "a", outcome = "disabled" }, locals:set_status("a", 0))
    assert.equal("unchanged", locals:set_status("a", 0).outcome)
    assert.equal("a=0", wanted())
    start(configured("a"))
    assert.equal("a=0", wanted())
    assert.equal("enabled", locals:set_status("a", 1).outcome)
    start(configured("a"))
    assert.equal("a=1", wanted())
    locals:add({ name = "b", command = "x", status = 0 })
    assert.equal("enabled", locals:set_status("b", 1).outcome)
    start(configured("a"))
    assert.equal("a=1 b=1", wanted())
    local _, code = locals:set_status("none", 0)
    assert.equal("not_found", code)
  end)

  it("follow their document again once its status has changed", function()
    locals:set_status("a", 0)
    locals:configure({ configured("a", 0) }, "/etc/a.json")
    start(configured("a", 1))
    assert.equal("a=1", wanted())
    locals:add({ name = "b", command = "x" })
    locals:set_status("b", 0)
    locals:add({ name = "b", command = "x", status = 0 })
    locals:add({ name = "b", command = "x", status = 1 })
    start(configured("a"))
    assert.equal("a=1 b=1", wanted())
  end)

  it("are not changed when the disk refuses", function()
    file.refuse[FILE] = "No space left on device"
    for _, change in ipairs({
      function() return locals:add({ name = "b", command = "x" }) end,
      function() return locals:set_status("a", 0) end,
    }) do
      local _, code, text = change()
      assert.equal("failed", code)
      assert.matches("No space left", text)
    end
    assert.equal("a=1", wanted())
    assert.equal(0, changes)
  end)

  it("that are not known because the file is broken are held, and nothing is changed until it is repaired", function()
    locals:add({ name = "b", command = "x" })
    local good = file.texts[FILE]
    for _, broken in ipairs({ "{", "7", '{"added":[1],"status":{}}', '{"added":{}}' }) do
      file.texts[FILE] = broken
      start(configured("a"))
      assert.equal("a=1", wanted())
      assert.is_true(locals:held_names().all)
      assert.matches("is not known", problems:list()[1].text)
      for _, change in ipairs({ locals.remove, locals.set_status }) do
        local _, code, text = change(locals, "b", 0)
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
    local _, code, text = locals:set_status("b", 0)
    assert.equal("conflict", code)
    assert.matches("appmgr status", text)
    assert.is_true(locals:is_added("b"))
    assert.equal("removed", locals:remove("b").outcome)
    assert.same({}, problems:list())
  end)
end)
