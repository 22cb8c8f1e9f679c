local core = require("spec.support.core")
local listing = require("appmgr.planner.listing")

local deps = { json = core.json, codec = core.codec, prefix = "appmgr/" }

describe("listing", function()
  it("reads entries as Consul writes them", function()
    local entries = listing.read([=[[
      {"LockIndex":0,"Key":"appmgr/task/","Flags":0,"Value":null,"CreateIndex":5,"ModifyIndex":5},
      {"LockIndex":1,"Key":"appmgr/live/a","Flags":18446744073709551615,"Value":"e30=","Session":"s","ModifyIndex":9}
    ]]=], deps)
    assert.same({
      { key = "task/", index = 5, flags = 0 },
      { key = "live/a", value = "{}", session = "s", index = 9, flags = 2 ^ 64 },
    }, entries)
  end)

  it("reads keys", function()
    assert.same({ "version/a/1" }, listing.read_keys('["appmgr/version/a/1"]', deps))
    assert.is_nil(listing.read_keys('["other/x"]', deps))
    assert.is_nil(listing.read_keys("{", deps))
  end)

  it("reads what a transaction did and why it failed", function()
    local entries, errors = listing.read_transaction(
      '{"Results":[{"KV":{"Key":"appmgr/meta","Value":"e30=","ModifyIndex":3}}],"Errors":null,"Index":9}', deps)
    assert.same({ { key = "meta", value = "{}", index = 3, flags = 0 } }, entries)
    assert.same({}, errors)
    entries, errors = listing.read_transaction(
      '{"Results":null,"Errors":[{"OpIndex":1,"What":"index is stale"}]}', deps)
    assert.same({ {}, { { operation = 2, text = "index is stale" } } }, { entries, errors })
  end)

  it("refuses everything else as a whole", function()
    for _, text in ipairs({
      "", "<html>", "7", "[7]", "[{}]", '[{"Key":"x/y"}]', '[{"Key":"appmgr/x","Value":"%"}]', '[{"Key":"appmgr/x","Value":',
    }) do
      local entries, reason = listing.read(text, deps)
      assert.is_nil(entries, text)
      assert.equal("string", type(reason))
    end
    assert.is_nil(listing.read_transaction('{"Results":[{}]}', deps))
  end)
end)
