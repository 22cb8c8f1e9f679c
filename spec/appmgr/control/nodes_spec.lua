local core = require("spec.support.core")
local fake_kv = require("spec.support.fake_kv")
local fake_request = require("spec.support.fake_request")
local nodes = require("appmgr.control.nodes")

local function set(store, params)
  local request = fake_request.new(params)
  nodes.set({ node = "alpha", client = store, core = core }, request)
  return request
end

local function document(store)
  local entry = store.values["node/beta"]
  return entry and core.json.decode(entry.value)
end

describe("node.set", function()
  local store

  before_each(function() store = fake_kv.new({ ["live/beta"] = "{}" }) end)

  it("keeps all else that was said", function()
    assert.equal("created", set(store, { name = "beta", labels = { zone = "b", rack = "1" } }).result.outcome)
    assert.equal("updated", set(store, { name = "beta", drain = { deadline = 1700000000 } }).result.outcome)
    assert.equal("updated", set(store, { name = "beta", eligible = false }).result.outcome)
    assert.same({ labels = { zone = "b", rack = "1" }, drain = { deadline = 1700000000 }, eligible = false }, document(store))
    set(store, { name = "beta", forget_labels = { "rack" }, labels = { zone = "c" } })
    set(store, { name = "beta", drain = true })
    assert.same({ labels = { zone = "c" }, drain = true, eligible = false }, document(store))
  end)

  it("removes a document that says nothing any more", function()
    set(store, { name = "beta", drain = true, labels = { zone = "b" } })
    set(store, { name = "beta", drain = false })
    assert.same({ labels = { zone = "b" } }, document(store))
    set(store, { name = "beta", forget_labels = { "zone", "other" } })
    assert.is_nil(store.values["node/beta"])
  end)

  it("writes nothing that is there already", function()
    set(store, { name = "beta", drain = true })
    assert.equal("unchanged", set(store, { name = "beta", drain = true }).result.outcome)
    assert.equal("unchanged", set(store, { name = "beta", eligible = true }).result.outcome)
    -- The document, and that its drain is meant.
    assert.equal(2, store.writes)
    assert.truthy(store.values["confirm/node-beta"].value:find('"node:beta"', 1, true))
  end)

  it("does not lose what others write at the same moment", function()
    local once = true
    store.interfere = function(key)
      if once and key == "node/beta" then
        once = false
        store.values[key] = { key = key, value = '{"eligible":false,"note":"x"}', modify_index = 9 }
      end
    end
    assert.equal("updated", set(store, { name = "beta", drain = true }).result.outcome)
    assert.same({ drain = true, eligible = false, note = "x" }, document(store))
  end)

  it("refuses a node that nobody knows, unless told that it is yet to come", function()
    local request = set(store, { name = "bta", drain = true })
    assert.equal("not_found", request.code)
    assert.truthy(request.message:find('did you mean "beta"', 1, true))
    assert.equal("created", set(store, { name = "bta", drain = true, force = true }).result.outcome)
    store.values["live/beta"], store.values["assignment/beta"] = nil, { key = "assignment/beta", value = "{}", modify_index = 1 }
    assert.equal("created", set(store, { name = "beta", drain = true }).result.outcome)
  end)

  it("refuses what means nothing", function()
    for _, params in ipairs({
      { name = "a/b", drain = true }, { name = "beta", drain = "yes" }, { name = "beta", drain = { deadline = "x" } },
      { name = "beta", eligible = 1 }, { name = "beta", labels = { ["a b"] = "x" } }, { name = "beta", labels = { a = 7 } },
      { name = "beta", labels = { "a" } }, { name = "beta", forget_labels = "a" }, { name = "beta", forget_labels = { 7 } },
    }) do
      assert.equal("bad_request", set(store, params).code)
    end
    assert.equal(0, store.writes)
    assert.equal("unavailable", set(nil, { name = "beta" }).code)
  end)

  it("does not write over what it does not understand", function()
    store.values["node/beta"] = { key = "node/beta", value = "garbage", modify_index = 3 }
    local request = set(store, { name = "beta", drain = true })
    assert.equal("failed", request.code)
    assert.truthy(request.message:find("no JSON object", 1, true))
  end)
end)
