local core = require("spec.support.core")
local documents = require("appmgr.policy_documents")

local json = core.json

local function read(text)
  return documents.read_use(text, json)
end

describe("the document policy/use", function()
  it("names a policy, or nobody", function()
    assert.same({ history = {} }, (read(documents.NOBODY_CHOSE)))
    local use = read('{"name":"a","hash":"1","options":{"x":2},"history":[{"name":"b","hash":"2","at":5},{"hash":7}]}')
    assert.same({ "a", "1", 2 }, { use.name, use.hash, use.options.x })
    assert.equal("b", use.history[1].name)
  end)

  it("that makes no sense is refused with a reason", function()
    for text, part in pairs({
      ["nonsense"] = "", ["[1]"] = "no JSON object", ['{"name":"a"}'] = "hash", ['{"name":"a/b","hash":"1"}'] = "name",
      ['{"name":"a","hash":"1","options":3}'] = "options",
    }) do
      local use, reason = read(text)
      assert.is_nil(use)
      assert.truthy(reason:find(part, 1, true), reason)
    end
  end)

  it("remembers what was in use before, ten steps back, and goes there step by step", function()
    local text = documents.NOBODY_CHOSE
    for version = 1, 12 do
      text = documents.choose(read(text), { name = "p", hash = "h" .. version }, 100 + version, json)
    end
    local use = read(text)
    assert.same({ "h12", 10, "h11", "h2" }, { use.hash, #use.history, use.history[1].hash, use.history[10].hash })
    local back
    text, back = documents.step_back(use, json)
    assert.equal("h11", back.hash)
    assert.same({ "h11", 9 }, { read(text).hash, #read(text).history })
  end)

  it("can go back to the configuration's policy, and no further", function()
    local text = documents.choose(read(documents.NOBODY_CHOSE), { name = "p", hash = "h" }, 1, json)
    local back
    text, back = documents.step_back(read(text), json)
    assert.is_nil(back.name)
    assert.is_nil(documents.step_back(read(text), json))
  end)

  it("keeps versions that it names; of the others the last ten", function()
    local versions = {}
    for number = 1, 14 do versions[number] = { name = "p", hash = "h" .. number } end
    local use = { name = "p", hash = "h13", history = { { name = "p", hash = "h12" }, {}, { name = "q", hash = "h11" } } }
    local surplus = documents.surplus(versions, use)
    assert.same({ "h11", "h14" }, { surplus[1].hash, surplus[2].hash })
    assert.equal(2, #surplus)
  end)

  it("knows a choice that stands there already", function()
    local use = read(documents.choose(read(documents.NOBODY_CHOSE), { name = "p", hash = "h", options = { a = 1 } }, 1, json))
    assert.is_true(documents.is_chosen(use, { name = "p", hash = "h", options = { a = 1 } }, json))
    assert.is_false(documents.is_chosen(use, { name = "p", hash = "h", options = { a = 2 } }, json))
    assert.is_false(documents.is_chosen(use, {}, json))
    assert.is_true(documents.is_chosen(read(documents.NOBODY_CHOSE), {}, json))
  end)
end)
