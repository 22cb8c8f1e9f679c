local core = require("spec.support.core")
local port_name = require("appmgr.port_name")
local task = require("appmgr.task")

local function parse(extra)
  return task.parse("web", '{"content":{"command":"x"},' .. extra .. "}", core.json, core.codec)
end

local function read(extra)
  local web, findings = parse(extra)
  assert.same({}, findings.errors)
  return web
end

local function refusal(extra)
  local web, findings = parse(extra)
  assert.is_nil(web)
  return table.concat(findings.errors, "\n")
end

local function refuses(extra, text)
  local reason = refusal(extra)
  assert.truthy(reason:find(text, 1, true), reason)
end

describe("placement fields", function()
  it("are there, and ask for nothing, where the document has none", function()
    local web = read('"replication":1')
    for _, name in ipairs({ "constraints", "affinities", "with", "apart_from", "spread", "ports", "unsupported" }) do
      assert.same({}, web[name])
    end
    assert.same({ cpu = 1, memory_mb = 1 }, web.resources)
    assert.same({ cpu = true, memory_mb = true }, web.resources_defaulted)
  end)

  it("are read whole", function()
    local web = read([["constraints":[{"attribute":"label.zone","operator":"in","value":["a","b"]},
      {"attribute":"label.gpu","operator":"is_set"}],
      "affinities":[{"attribute":"resource.cpu","operator":">","value":4000,"weight":-50}],
      "with":"db", "apart_from":["web",{"task":"batch","per":"label.rack"}],
      "spread":[{"label":"zone","targets":{"a":70,"b":30}},"rack"],
      "resources":{"memory_mb":512,"gpu":1.0}, "ports":{"http":8080,"admin":"dynamic"}]])
    assert.same({ "a", "b" }, web.constraints[1].value)
    assert.same({ attribute = "label.gpu", operator = "is_set" }, web.constraints[2])
    assert.equal(-50, web.affinities[1].weight)
    assert.same({ { task = "db", per = "node" } }, web.with)
    assert.same({ { task = "web", per = "node" }, { task = "batch", per = "label.rack" } }, web.apart_from)
    assert.same({ { label = "zone", targets = { a = 70, b = 30 } }, { label = "rack" } }, web.spread)
    assert.same({ cpu = 1, memory_mb = 512, gpu = 1 }, web.resources)
    assert.same({ cpu = true }, web.resources_defaulted)
    assert.same({ { name = "admin" }, { name = "http", number = 8080 } }, web.ports)
  end)

  it("take one entry without an array around it", function()
    assert.equal("zone", read('"spread":{"label":"zone"}').spread[1].label)
    assert.equal("=", read('"constraints":{"attribute":"node.name","operator":"=","value":"n1"}').constraints[1].operator)
  end)

  it("ask for nothing when they are empty", function()
    assert.same({}, read('"constraints":[],"spread":{},"resources":{},"ports":{}').unsupported)
  end)

  it("refuse what is no constraint", function()
    refuses('"constraints":[{"attribute":"zone","operator":"=","value":"a"}]', 'write "label.zone"')
    refuses('"constraints":[{"attribute":"label.a","operator":"~","value":"a"}]', '"~" is no operator')
    refuses('"constraints":[{"attribute":"label.a","operator":"="}]', "entry 1: value: must be a string")
    refuses('"constraints":[{"attribute":"label.a","value":"a"}]', "operator: is missing")
    refuses('"constraints":[{"operator":"=","value":"a"}]', "attribute: is missing")
    refuses('"constraints":[{"attribute":"label.a","operator":"version","value":"new"}]', "no version")
    refuses('"constraints":[{"attribute":"label.a","operator":"glob","value":""}]', "pattern")
    refuses('"constraints":[{"attribut":"label.a","operator":"=","value":"a"}]', 'did you mean "attribute"')
    refuses('"constraints":"label.a = b"', "constraints: must be an object")
    refuses('"constraints":[7]', "entry 1: must be an object")
    refuses('"constraints":[' .. ('{"attribute":"label.a","operator":"is_set"},'):rep(64)
      .. '{"attribute":"label.a","operator":"is_set"}]', "at most 64")
  end)

  it("refuse weights out of range", function()
    local text = '"affinities":[{"attribute":"label.a","operator":"=","value":"a"%s}]'
    refuses(text:format(""), "weight: is missing")
    for _, weight in ipairs({ "101", "-101", "0.5", '"50"' }) do
      refuses(text:format(',"weight":' .. weight), "from -100 to 100")
    end
  end)

  it("refuse relations that cannot be", function()
    refuses('"with":"db","apart_from":"db"', "both name")
    refuses('"with":"a..b"', "task name")
    refuses('"with":[{"per":"node"}]', "task: is missing")
    refuses('"apart_from":[{"task":"db","per":"zone"}]', 'must be "node" or "label.<name>"')
    assert.truthy(read('"with":"db","apart_from":{"task":"db","per":"label.rack"}'))
    assert.truthy(read('"with":{"task":"web","per":"label.zone"},"apart_from":"web"'))
  end)

  it("refuse targets that do not add up", function()
    refuses('"spread":{"label":"zone","targets":{"a":60,"b":50}}', "add up to 110")
    refuses('"spread":{"label":"zone","targets":{"a":-1}}', "a must be a percentage")
    refuses('"spread":{"label":"zone","targets":{"a":"half"}}', "a must be a percentage")
    refuses('"spread":{"targets":{"a":1}}', "label: is missing")
    assert.is_nil(read('"spread":{"label":"zone","targets":{}}').spread[1].targets)
  end)

  it("refuse amounts that are none", function()
    refuses('"resources":{"cpu":0.5}', "millicores, 500 is half a core")
    for _, amount in ipairs({ "-1", '"512"', "1e99", "1.5", "{}", "true" }) do
      refuses('"resources":{"memory_mb":' .. amount .. "}", "memory_mb must be a whole number")
    end
    refuses('"resources":{"a b":1}', "allowed are")
    refuses('"resources":[1]', "must be an object")
  end)

  it("refuse ports that are none", function()
    for _, number in ipairs({ "0", "65536", "80.5", '"80"', '"any"', "[]" }) do
      refuses('"ports":{"http":' .. number .. "}", "http must be a number from 1 to 65535")
    end
    refuses('"ports":{"a b":80}', "a port's name")
    refuses('"ports":{"a":80,"b":80}', "the same number")
    refuses('"ports":{"a-b":80,"a_b":81}', "APPMGR_PORT_A_B")
    refuses('"ports":[80]', "must be an object")
  end)

  it("say where resources belong", function()
    local _, findings = task.parse("web", '{"content":{"command":"x","resources":{"cpu":1}}}', core.json, core.codec)
    assert.truthy(table.concat(findings.errors):find("beside content", 1, true))
  end)
end)

describe("the name of a port", function()
  it("becomes a variable", function()
    assert.equal("APPMGR_PORT_HTTP_ADMIN2", port_name.variable("http-admin2"))
    for _, name in ipairs({ "", "1a", "a.b", ("a"):rep(65), "ä" }) do assert.is_nil((port_name.check(name))) end
    assert.is_nil((port_name.check(7)))
  end)
end)
