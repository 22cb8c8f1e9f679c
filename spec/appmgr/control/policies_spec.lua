local core = require("spec.support.core")
local documents = require("appmgr.policy_documents")
local fake_request = require("spec.support.fake_request")
local policies = require("appmgr.control.policies")

describe("the methods of policies", function()
  local agent, keys

  before_each(function()
    keys = {}
    agent = { core = core, client = {
      put = function(_, key, value, options, callback)
        local entry = keys[key]
        if (entry and entry.index or 0) ~= options.cas then return callback(false) end
        keys[key] = { value = value, index = (entry and entry.index or 6) + 1 }
        callback(true)
      end,
      delete = function(_, key, _, callback)
        keys[key] = nil
        callback(true)
      end,
    } }
  end)

  local function call(method, params)
    local request = fake_request.new(params)
    policies[method](agent, request)
    return request
  end

  it("put a version once", function()
    local hash = documents.hash("return 1", core.codec)
    assert.same({ name = "mine", hash = hash, outcome = "created" }, call("put", { name = "mine", source = "return 1" }).result)
    assert.equal("unchanged", call("put", { name = "mine", source = "return 1" }).result.outcome)
    assert.equal("return 1", keys["policy/version/mine/" .. hash].value)
  end)

  it("refuse what is no policy", function()
    for _, params in ipairs({ {}, { name = "a/b", source = "x" }, { name = "a" }, { name = "a", source = ("x"):rep(600000) } }) do
      assert.equal("bad_request", call("put", params).code)
    end
    assert.equal("bad_request", call("choose", { document = "[]", index = 0 }).code)
    assert.equal("bad_request", call("choose", { document = "{}" }).code)
    assert.equal("bad_request", call("remove", { name = "a", hash = "../x" }).code)
  end)

  it("choose only what nobody else changed meanwhile", function()
    assert.equal("updated", call("choose", { document = "{}", index = 0 }).result.outcome)
    assert.equal("conflict", call("choose", { document = "{}", index = 0 }).code)
    assert.equal("updated", call("choose", { document = "{}", index = 7 }).result.outcome)
  end)

  it("remove a version", function()
    call("put", { name = "mine", source = "return 1" })
    call("remove", { name = "mine", hash = documents.hash("return 1", core.codec) })
    assert.same({}, keys)
  end)

  it("need Consul", function()
    agent = { node = "alpha" }
    assert.equal("unavailable", call("put", { name = "mine", source = "x" }).code)
    assert.equal("unavailable", call("choose", {}).code)
    assert.equal("unavailable", call("remove", {}).code)
  end)
end)
