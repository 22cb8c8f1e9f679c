local core = require("spec.support.core")
local assignment = require("appmgr.assignment")

local json = core.json

describe("assignment", function()
  local replicas = {
    { task = "web", slot = 10, version = "00ff", since = 5 },
    { task = "web", slot = 2, version = "00ff", since = 5, leaving = true },
    { task = "db", slot = 0, version = "aa", since = 7, ports = { http = 8080, admin = 20001 },
      peers = { ["1"] = "beta", ["10"] = "gamma" } },
    { task = "web", slot = 3, version = "00ff", since = 9, moved = { from = "beta", slot = 1, since = 5, at = 9, round = "ab12",
      by = "score", before = -3.25, after = -1 } },
  }

  it("comes back as it was written, sorted", function()
    local read = assignment.parse(assignment.encode(replicas, json), json)
    assert.same({ replicas[3], replicas[2], replicas[4], replicas[1] }, read)
  end)

  it("is the same text for every order", function()
    local other = { replicas[3], replicas[1], replicas[4], replicas[2] }
    assert.equal(assignment.encode(replicas, json), assignment.encode(other, json))
    assert.equal('{"replicas":[]}', assignment.encode({}, json))
  end)

  it("reads an empty one", function()
    assert.same({}, assignment.parse('{"replicas":[]}', json))
  end)

  it("is not read at all when any part is broken", function()
    for _, text in ipairs({
      "", "{", "[]", "7", "{}", '{"replicas":7}', '{"replicas":{"a":1}}', '{"replicas":[1]}',
      '{"replicas":[{"task":"a/b","slot":0,"version":"a"}]}', '{"replicas":[{"task":"a","slot":-1,"version":"a"}]}',
      '{"replicas":[{"task":"a","slot":0}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","ports":80}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","ports":{"a b":80}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","ports":{"http":0}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","ports":{"http":"80"}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","peers":7}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","peers":{"x":"beta"}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","peers":{"1":"a b"}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","moved":"b"}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","moved":{"from":"a b","slot":1,"since":5,"at":9}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","moved":{"from":"b","slot":-1,"since":5,"at":9}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a","moved":{"from":"b","slot":1,"since":5}}]}',
      '{"replicas":[{"task":"a","slot":0,"version":"a"},{"task":"a","slot":0,"version":"b"}]}',
    }) do
      local read, reason = assignment.parse(text, json)
      assert.is_nil(read, text)
      assert.equal("string", type(reason))
    end
    assert.is_nil(assignment.parse(nil, json))
  end)

  it("says nothing of ports where there are none", function()
    local text = '{"replicas":[{"since":1,"slot":0,"task":"a","version":"b"}]}'
    assert.equal(text, assignment.encode(assignment.parse(text, json), json))
    assert.is_nil(assignment.parse('{"replicas":[{"task":"a","slot":0,"version":"a","ports":{}}]}', json)[1].ports)
  end)

  it("names in the seed's topology what stays", function()
    assert.same({ "db", "web", "web" }, assignment.topology(replicas))
  end)
end)
