local core = require("spec.support.core")
local task = require("appmgr.task")

local function parse(text, name)
  return task.parse(name or "web", text, core.json, core.codec)
end

local function refusal(text, name)
  local document, findings = parse(text, name)
  assert.is_nil(document)
  return table.concat(findings.errors, "\n")
end

describe("a task document with a key that stands twice", function()
  it("is used, with a warning that names it", function()
    local document, findings = parse('{"content":{"command":"sleep 1"},\n"replication":1,\n"replication":2}')
    assert.equal(2, document.replication)
    assert.same({ "replication: stands twice in one object (line 3); the last one counts, the other has no effect" }, findings.warnings)
  end)

  it("says so also when it is of no use", function()
    local _, findings = parse('{"content":{"comand":"a"},"content":{"comand":"b"}}')
    assert.same({ 'content.command: is missing; "comand" is no field, did you mean "command"?' }, findings.errors)
    assert.truthy(table.concat(findings.warnings, "\n"):find("content: stands twice", 1, true))
  end)
end)

describe("task.name_of", function()
  it("reads a name from a key", function()
    assert.equal("web", task.name_of("task/web"))
  end)

  it("passes over folder keys without a word", function()
    assert.same({}, { task.name_of("task/") })
    assert.same({}, { task.name_of("task/folder/") })
    assert.same({}, { task.name_of("other/web") })
  end)

  it("says why a key names no task", function()
    local name, reason = task.name_of("task/a/b")
    assert.is_nil(name)
    assert.truthy(reason:find("task/a-b", 1, true))
    name, reason = task.name_of("task/a b")
    assert.is_nil(name)
    assert.truthy(reason:find("allowed are", 1, true))
  end)
end)

describe("task.parse", function()
  it("reads the seed's document", function()
    local web, findings = parse('{"content":{"command":"sleep 30","name":"web"},"replication":2}')
    assert.equal(2, web.replication)
    assert.equal("web", web.application.name)
    assert.equal('{"command":"sleep 30","name":"web"}', web.content_text)
    assert.equal(16, #web.version)
    assert.same({ 0, 1, {}, {} }, { web.priority, web.max_per_node, web.condition, web.unsupported })
    assert.same({}, findings.warnings)
  end)

  it("reads everything this version honours", function()
    local web = parse([[{"content":{"command":"x"},"replication":"all","priority":-5,"max_per_node":3,
      "condition":{"zone":"a*","cores":4},"on_disconnect":"keep"}]])
    assert.equal("all", web.replication)
    assert.same({ zone = "a*", cores = "4" }, web.condition)
    assert.same({}, web.unsupported)
  end)

  it("takes one replica where no number stands", function()
    assert.equal(1, parse('{"content":{"command":"x"}}').replication)
  end)

  it("refuses what is no task document", function()
    assert.truthy(refusal(nil):find("empty", 1, true))
    assert.truthy(refusal(""):find("empty", 1, true))
    assert.truthy(refusal("{"):find("no valid JSON", 1, true))
    assert.truthy(refusal("<html>"):find("no valid JSON", 1, true))
    assert.truthy(refusal("[1]"):find("JSON object", 1, true))
    assert.truthy(refusal("7"):find("JSON object", 1, true))
    assert.truthy(refusal('{"replication":1}'):find("content: is missing", 1, true))
    assert.truthy(refusal('{"content":"x"}'):find("content: must be an object", 1, true))
    assert.truthy(refusal('{"content":{}}'):find("content.command: is missing", 1, true))
    assert.truthy(refusal('{"content":{"command":"x"}}', "a..b"):find("task name", 1, true))
  end)

  it("refuses negative, absurd and broken replication", function()
    for _, value in ipairs({ "-1", "10001", "1.5", '"3"', "true", "{}", "1e99", '"ALL"' }) do
      local text = refusal('{"content":{"command":"x"},"replication":' .. value .. "}")
      assert.truthy(text:find("replication: must be", 1, true))
    end
    assert.equal(3, parse('{"content":{"command":"x"},"replication":3.0}').replication)
    assert.equal(0, parse('{"content":{"command":"x"},"replication":0}').replication)
  end)

  it("reads what a node that is cut off does with it", function()
    assert.equal("keep", parse('{"content":{"command":"x"}}').on_disconnect)
    local web, findings = parse('{"content":{"command":"x"},"on_disconnect":{"stop_after_seconds":60,"stopp":1}}')
    assert.same({ stop_after_seconds = 60 }, web.on_disconnect)
    assert.truthy(findings.warnings[1]:find("on_disconnect.stopp: unknown field", 1, true))
  end)

  it("puts what nodes have to know beside the content into the version", function()
    local plain = parse('{"content":{"command":"x"},"on_disconnect":"keep"}')
    assert.equal('{"command":"x"}', plain.content_text)
    local guarded = parse('{"content":{"command":"x","on_disconnect":"keep"},"on_disconnect":{"stop_after_seconds":60}}')
    assert.equal('{"command":"x","on_disconnect":{"stop_after_seconds":60}}', guarded.content_text)
    assert.not_equal(plain.version, guarded.version)
    local document = core.json.decode(guarded.content_text)
    assert.equal(60, task.read_version(document).stop_after_seconds)
    assert.same({ content = { command = "x" }, on_disconnect = { stop_after_seconds = 60 } }, task.of_version(document))
    assert.is_nil(task.read_version({ command = "x" }).stop_after_seconds)
    -- Under `content` it means nothing.
    local misplaced = parse('{"content":{"command":"x","on_disconnect":{"stop_after_seconds":60}}}')
    assert.equal(plain.version, misplaced.version)
  end)

  it("reads no version whose on_disconnect means nothing", function()
    local app, findings = task.read_version({ command = "x", on_disconnect = "stop" })
    assert.is_nil(app)
    assert.matches("on_disconnect: must be", findings.errors[1])
  end)

  it("tells up to a hundred slots of each other", function()
    assert.is_true(parse('{"content":{"command":"x"},"replication":100,"peers":true}').peers)
    assert.is_nil(parse('{"content":{"command":"x"},"peers":false}').peers)
    for _, replication in ipairs({ "101", '"all"' }) do
      local text = refusal(('{"content":{"command":"x"},"peers":true,"replication":%s}'):format(replication))
      assert.truthy(text:find("peers: at most 100 replicas", 1, true))
    end
    assert.truthy(refusal('{"content":{"command":"x"},"peers":1}'):find("peers: must be true or false", 1, true))
  end)

  it("may say that nothing of it is moved for balance, which makes no other version", function()
    local fixed, other = parse('{"content":{"command":"x"},"rebalance":false}'), parse('{"content":{"command":"x"},"rebalance":true}')
    assert.same({ false, nil }, { fixed.rebalance, other.rebalance })
    assert.equal(other.version, fixed.version)
    assert.truthy(refusal('{"content":{"command":"x"},"rebalance":"no"}'):find("rebalance: must be true or false", 1, true))
  end)

  it("refuses an on_disconnect that means nothing", function()
    for _, value in ipairs({ '"stop"', "60", "{}", "[]", '{"stop_after":60}' }) do
      local text = refusal('{"content":{"command":"x"},"on_disconnect":' .. value .. "}")
      assert.truthy(text:find('on_disconnect: must be "keep", or', 1, true))
    end
    for _, value in ipairs({ "4", "604801", '"60"', "5.5" }) do
      local text = refusal('{"content":{"command":"x"},"on_disconnect":{"stop_after_seconds":' .. value .. "}}")
      assert.truthy(text:find("on_disconnect.stop_after_seconds: must be a whole number", 1, true))
    end
  end)

  it("refuses a content that no transaction can carry", function()
    local text = '{"content":{"command":"x","comments":"' .. ("y"):rep(400000) .. '"}}'
    assert.truthy(refusal(text):find("content: is 4000", 1, true))
  end)

  it("keeps placement fields it cannot honour apart", function()
    local web, findings = parse([[{"content":{"command":"x"},"resources":{"cpu":1},
      "on_disconnect":{"stop_after_seconds":5},"replicaton":2,"spread":["zone"],"service":{}}]])
    assert.same({ "service" }, web.unsupported)
    assert.equal('replicaton: unknown field, it has no effect; did you mean "replication"?', findings.warnings[1])
  end)

  it("says that the key names the task", function()
    local web, findings = parse('{"content":{"command":"x","name":"other"}}')
    assert.equal("web", web.application.name)
    assert.truthy(findings.warnings[1]:find('names it "web"', 1, true))
  end)
end)
