local config = require("appmgr.config")
local node_size = require("appmgr.node_size")
require("spec.support.core")

local function read(text) return assert(config.parse(text, "f")) end

local function refusal(text)
  local parsed, err = config.parse(text, "f")
  assert.is_nil(parsed)
  return err
end

describe("the size of a node", function()
  it("is what the configuration says", function()
    local fields = node_size.live_fields(read([[{
      "Resources": { "gpu": 2, "memory_mb": 4096, "ports": "21000-21009" },
      "Reserve": { "cpu": 250, "ports": [80, 22] }, "Overcommit": { "cpu": 1.5 } }]]), {})
    assert.same({
      resources = { gpu = 2, memory_mb = 4096 }, reserved = { cpu = 250 }, overcommit = { cpu = 1.5 }, local_used = {},
      ports = { first = 21000, last = 21009 }, reserved_ports = { 22, 80 },
    }, fields)
  end)

  it("has a range of ports where nothing is said", function()
    local fields = node_size.live_fields(read("{}"), {})
    assert.same(node_size.DEFAULT_PORTS, fields.ports)
    assert.same({ {}, {}, {}, {} }, { fields.resources, fields.reserved, fields.overcommit, fields.reserved_ports })
  end)

  it("knows what local applications use that may run", function()
    local parsed = read([[{ "Applications": [
      { "name": "a", "command": "x", "resources": { "cpu": 100, "memory_mb": 64 } },
      { "name": "b", "command": "x", "resources": { "cpu": 50 } }, { "name": "c", "command": "x" },
      { "name": "d", "command": "x", "status": 0, "resources": { "cpu": 7 } } ] }]])
    assert.same({ cpu = 150, memory_mb = 64 }, node_size.live_fields(parsed, parsed.Applications).local_used)
  end)

  it("is refused when it cannot be", function()
    for text, part in pairs({
      ['{"Resources":{"gpu":-1}}'] = "gpu must be a whole number", ['{"Resources":{"cpu":0.5}}'] = "millicores",
      ['{"Resources":{"ports":"1-70000"}}'] = "ports must be a range", ['{"Resources":{"ports":"9-3"}}'] = "ports must be a range",
      ['{"Resources":{"ports":[1]}}'] = "ports must be a range", ['{"Resources":[1]}'] = "must be an object",
      ['{"Reserve":{"ports":80}}'] = "must be an array", ['{"Reserve":{"ports":[0]}}'] = "entry 1",
      ['{"Reserve":{"ports":{"a":1}}}'] = "must be an array", ['{"Reserve":{"memory_mb":"1G"}}'] = "memory_mb must be",
      ['{"Overcommit":{"cpu":0}}'] = "above 0", ['{"Overcommit":{"cpu":101}}'] = "above 0",
      ['{"Overcommit":{"cpu":"2"}}'] = "above 0", ['{"Overcommit":2}'] = "must be an object",
      ['{"Applications":[{"name":"a","command":"x","resources":{"cpu":"1"}}]}'] = "resources: cpu must be",
      ['{"Reserved":{}}'] = 'did you mean "Reserve"',
    }) do
      local err = refusal(text)
      assert.truthy(err:find(part, 1, true), err)
    end
  end)
end)
