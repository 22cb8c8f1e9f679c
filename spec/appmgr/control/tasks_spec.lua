local confirmation = require("appmgr.confirmation")
local core = require("spec.support.core")
local fake_request = require("spec.support.fake_request")
local store = require("spec.support.fake_kv").new
local tasks = require("appmgr.control.tasks")

local function call(handler, client, params)
  local request = fake_request.new(params)
  handler({ node = "alpha", client = client, core = core }, request)
  return request
end

describe("task.apply", function()
  it("creates, updates, and leaves alone what is there", function()
    local s = store({})
    local document = '{"content":{"command":"x"},"replication":1}'
    assert.equal("created", call(tasks.apply, s, { name = "web", document = document }).result.outcome)
    assert.equal("unchanged", call(tasks.apply, s, { name = "web", document = document }).result.outcome)
    local same = '{ "replication": 1, "content": { "command": "x" } }'
    assert.equal("unchanged", call(tasks.apply, s, { name = "web", document = same }).result.outcome)
    assert.equal(1, s.writes)
    local other = document:gsub("1}", "2}")
    assert.equal("updated", call(tasks.apply, s, { name = "web", document = other }).result.outcome)
    assert.equal(other, s.values["task/web"].value)
  end)

  it("replaces what is no document", function()
    local s = store({ ["task/web"] = "garbage" })
    assert.equal("updated", call(tasks.apply, s, { name = "web", document = "{}" }).result.outcome)
  end)

  it("refuses names that are none, and an agent without Consul", function()
    assert.equal("bad_request", call(tasks.apply, store({}), { name = "../x", document = "{}" }).code)
    assert.equal("bad_request", call(tasks.apply, store({}), { name = "web" }).code)
    local request = call(tasks.apply, nil, { name = "web", document = "{}" })
    assert.equal("unavailable", request.code)
    assert.truthy(request.message:find('no "Consul" block', 1, true))
  end)

  it("hands on why Consul cannot be read", function()
    local s = store({})
    s.broken = true
    local request = call(tasks.apply, s, { name = "web", document = "{}" })
    assert.equal("failed", request.code)
    assert.truthy(request.message:find("connection refused", 1, true))
  end)
end)

describe("task.scale", function()
  local DOCUMENT = '{"content":{"command":"x","name":"web"},"replication":1}'

  it("changes the number and nothing else", function()
    local s = store({ ["task/web"] = DOCUMENT })
    assert.equal("updated", call(tasks.scale, s, { name = "web", replication = 3 }).result.outcome)
    assert.same({ content = { command = "x", name = "web" }, replication = 3 }, core.json.decode(s.values["task/web"].value))
    assert.equal("unchanged", call(tasks.scale, s, { name = "web", replication = 3 }).result.outcome)
    assert.equal("updated", call(tasks.scale, s, { name = "web", replication = "all" }).result.outcome)
    assert.equal(2, s.writes)
  end)

  it("confirms that fewer are meant", function()
    local s = store({ ["task/web"] = (DOCUMENT:gsub(":1}", ":9}")) })
    call(tasks.scale, s, { name = "web", replication = 12 })
    assert.is_nil(s.values["confirm/task-web"])
    call(tasks.scale, s, { name = "web", replication = 2 })
    local intent = confirmation.intent(s.values["task/web"].value, core.codec)
    assert.equal(intent, core.json.decode(s.values["confirm/task-web"].value).subjects.web)
  end)

  it("starts over when somebody else was faster", function()
    local s = store({ ["task/web"] = DOCUMENT })
    local times = 0
    function s.interfere(key)
      times = times + 1
      if times <= 2 then
        s.values[key] = { key = key, value = DOCUMENT:gsub("x", "y"), modify_index = 100 + times }
      end
    end
    assert.equal("updated", call(tasks.scale, s, { name = "web", replication = 3 }).result.outcome)
    assert.equal("y", core.json.decode(s.values["task/web"].value).content.command)
  end)

  it("gives up when somebody else always is", function()
    local s = store({ ["task/web"] = DOCUMENT })
    local index = 100
    function s.interfere(key)
      index = index + 1
      s.values[key].modify_index = index
    end
    assert.equal("conflict", call(tasks.scale, s, { name = "web", replication = 3 }).code)
  end)

  it("names the nearest task to an unknown one", function()
    local s = store({ ["task/web"] = DOCUMENT, ["task/"] = "" })
    local request = call(tasks.scale, s, { name = "wbe", replication = 3 })
    assert.equal("not_found", request.code)
    assert.equal('there is no task "wbe"; did you mean "web"?', request.message)
  end)

  it("refuses absurd numbers and documents it cannot read", function()
    local s = store({ ["task/web"] = "garbage" })
    assert.equal("bad_request", call(tasks.scale, s, { name = "web", replication = "many" }).code)
    assert.equal("bad_request", call(tasks.scale, s, { name = "web", replication = 1.5 }).code)
    local request = call(tasks.scale, s, { name = "web", replication = 3 })
    assert.equal("failed", request.code)
    assert.truthy(request.message:find("no JSON object", 1, true))
  end)
end)

describe("task.remove", function()
  it("does not take a task with an empty value for one that is not there", function()
    local s = store({})
    s.values["task/web"] = { key = "task/web", modify_index = 5 }
    local request = call(tasks.scale, s, { name = "web", replication = 3 })
    assert.equal("failed", request.code)
    assert.truthy(request.message:find("is no JSON object", 1, true), request.message)
    assert.equal("updated", call(tasks.apply, s, { name = "web", document = "{}" }).result.outcome)
  end)

  it("removes, and says when there is nothing or somebody else was faster", function()
    local s = store({ ["task/web"] = "{}" })
    assert.equal("not_found", call(tasks.remove, s, { name = "other" }).code)
    s.interfere = function(key)
      if key == "task/web" then s.values[key].modify_index = 9 end
    end
    assert.equal("conflict", call(tasks.remove, s, { name = "web" }).code)
    s.interfere = nil
    assert.equal("removed", call(tasks.remove, s, { name = "web" }).result.outcome)
    assert.is_nil(s.values["task/web"])
    assert.equal("removed", core.json.decode(s.values["confirm/task-web"].value).subjects.web)
  end)
end)

describe("task.enable, task.disable and task.restart", function()
  local function content_in(s)
    return core.json.decode(s.values["task/web"].value).content
  end

  it("change the status of the content, and nothing where it is so already", function()
    local s = store({ ["task/web"] = '{"content":{"command":"x"},"replication":2}' })
    assert.equal("unchanged", call(tasks.enable, s, { name = "web" }).result.outcome)
    assert.equal("updated", call(tasks.disable, s, { name = "web" }).result.outcome)
    assert.same({ command = "x", status = 0 }, content_in(s))
    assert.equal("unchanged", call(tasks.disable, s, { name = "web" }).result.outcome)
    assert.equal("updated", call(tasks.enable, s, { name = "web" }).result.outcome)
    assert.equal(1, content_in(s).status)
    assert.equal(2, s.writes)
  end)

  it("make another version of what is restarted", function()
    local s = store({ ["task/web"] = '{"content":{"command":"x"},"replication":2}' })
    assert.equal("updated", call(tasks.restart, s, { name = "web" }).result.outcome)
    assert.matches("^%d+%-%d+%-%d+ %d+:%d+:%d+$", content_in(s).restarted_at)
  end)

  it("refuse what is not there, is disabled, or is no task", function()
    local s = store({ ["task/web"] = '{"content":{"command":"x","status":0}}', ["task/odd"] = '{"content":[1]}' })
    for _, action in ipairs({ "enable", "disable", "restart" }) do
      assert.equal("not_found", call(tasks[action], s, { name = "wob" }).code)
      assert.matches("has no content", call(tasks[action], s, { name = "odd" }).message)
    end
    local refused = call(tasks.restart, s, { name = "web" })
    assert.equal("conflict", refused.code)
    assert.matches("appmgr task enable web", refused.message, 1, true)
    assert.equal(0, s.writes)
  end)
end)
