local Model = require("appmgr.planner.model")
local Store = require("spec.support.store")
local core = require("spec.support.core")

local json = core.json

local TERMS = require("appmgr.planner.restraint").DEFAULT_TERMS

describe("the model", function()
  local model, store

  before_each(function()
    model, store = Model.new({ json = json, codec = core.codec, prefix = "appmgr" }), Store.new("appmgr/")
    store:put("task/", "")
    store:put("node/", "")
    store:put("live/alpha", "{}", "session")
  end)

  local function feed(topic, body, fields)
    local header = { topic = topic, status = body and 200 or 404, index = store.index }
    for key, value in pairs(fields or {}) do header[key] = value end
    return model:feed(header, body or "")
  end

  local function feed_all()
    for _, topic in ipairs({ "task", "live", "node" }) do feed(topic, store:listing(topic .. "/")) end
    feed("version", store:key_listing("version/"))
    feed("audit", store:audit())
  end

  local function problem(key)
    for _, item in ipairs(model:problems()) do
      if item.key == key then return item.text end
    end
  end

  it("knows what it has read", function()
    for _, topic in ipairs({ "task", "live", "node", "version", "audit" }) do assert.is_false(model:has_read(topic)) end
    feed_all()
    for _, topic in ipairs({ "task", "live", "node", "version", "audit" }) do assert.is_true(model:has_read(topic)) end
  end)

  for _, case in ipairs({
    { "half a body", "task", '[{"Key":"appmgr/task/web"', {} },
    { "a key of somebody else", "live", '[{"Key":"other/live/beta"}]', {} },
    { "another status", "node", "[]", { status = 500 } },
    { "an audit of nothing", "audit", nil, {} },
  }) do
    it("is not changed by " .. case[1] .. ", and says so until the next answer", function()
      feed_all()
      local before = #model:snapshot(1, TERMS).nodes
      local done, reason = feed(case[2], case[3], case[4])
      assert.is_nil(done)
      assert.equal(("the answer for %s/ was not used: %s"):format(case[2], reason), problem("feed/" .. case[2]))
      assert.equal(before, #model:snapshot(1, TERMS).nodes)
      feed_all()
      assert.is_nil(problem("feed/" .. case[2]))
    end)
  end

  it("refuses a topic it does not know", function()
    assert.same({ nil, "unknown topic x" }, { feed("x", "[]") })
  end)

  describe("takes the answer to a commit:", function()
    local EFFECTS = {
      false, { kind = "version", key = "version/web/v1", task = "web", hash = "v1" },
      { kind = "assignment", key = "assignment/alpha", host = "alpha", replicas = {}, text = '{"replicas":[]}' },
    }

    before_each(feed_all)

    local function applied(...)
      local results = {}
      for position, key in ipairs({ ... }) do results[position] = { KV = { Key = "appmgr/" .. key, ModifyIndex = 70 } } end
      return json.encode({ Results = json.array(results) })
    end

    local function refused(operation, text)
      return json.encode({ Errors = json.array({ { OpIndex = operation - 1, What = text } }) })
    end

    it("applied", function()
      model:committed(EFFECTS, 200, applied("version/web/v1", "assignment/alpha"))
      assert.is_false(model.needs_audit)
      assert.equal(70, model:snapshot(1, TERMS).assignment_index.alpha)
      assert.is_true(model.holdings:has_version("web", "v1"))
    end)

    for _, case in ipairs({
      { "none at all", 0, "", text = "not known whether" },
      { "one that cannot be read", 200, "oops", text = "answered 200" },
      { "one that lacks what was written", 200, applied("version/web/v1"), text = "lacks assignment/alpha" },
      { "refused", 409, refused(3, "index is stale"), text = "index is stale" },
    }) do
      it(case[1] .. ", which asks for an audit", function()
        model:committed(EFFECTS, case[2], case[3])
        assert.is_true(model.needs_audit)
        assert.truthy(problem("commit"):find(case.text, 1, true))
        assert.is_nil(model:snapshot(1, TERMS).assignment_index.alpha)
        feed("audit", store:audit())
        assert.is_false(model.needs_audit)
        assert.is_nil(problem("commit"))
      end)
    end

    it("refused because the version is there", function()
      model:committed(EFFECTS, 409, refused(2, "index is stale"))
      assert.is_true(model.holdings:has_version("web", "v1"))
    end)

    it("refused because the token may not write the version", function()
      model:committed(EFFECTS, 409, refused(2, "Permission denied"))
      assert.is_false(model.holdings:has_version("web", "v1"))
    end)
  end)

  describe("wants a folder key", function()
    it("that no listing showed, until it is written, and again when a later listing lacks it", function()
      feed_all()
      assert.is_false(model:lacks_folder("task"))
      feed("task", nil, { index = 80 })
      assert.is_true(model:lacks_folder("task"))
      model:committed({ { kind = "folder", key = "task/" } }, 200,
        json.encode({ Results = { { KV = { Key = "appmgr/task/", ModifyIndex = 90 } } } }))
      assert.is_false(model:lacks_folder("task"))
      feed("task", nil, { index = 89 })
      assert.is_false(model:lacks_folder("task"))
      feed("task", nil, { index = 90 })
      assert.is_true(model:lacks_folder("task"))
      assert.truthy(problem("feed/task"))
    end)

    it("of node/ no more once it was refused, before it was seen", function()
      feed_all()
      feed("node", nil)
      assert.is_true(model:lacks_folder("node"))
      model:committed({ { kind = "folder", key = "node/" } }, 409,
        json.encode({ Errors = json.array({ { OpIndex = 0, What = "Permission denied" } }) }))
      assert.is_false(model:lacks_folder("node"))
      feed("node", store:listing("node/"))
      feed("node", nil)
      assert.is_true(model:lacks_folder("node"))
    end)
  end)

  it("begins a term with what the store says", function()
    model:begin_term(1)
    feed_all()
    assert.is_false(model.needs_audit)
    model:begin_term(1)
    assert.is_true(model:has_read("audit"))
    model:begin_term(2)
    assert.is_true(model.needs_audit)
    assert.is_false(model:has_read("audit"))
  end)

  it("takes a status with the assignment that it follows", function()
    store:put("status/alpha/applications", '{"web":{"task":"web","slot":0,"version":"v1"},"own":{"state":"running"}}',
      "session", 33)
    feed_all()
    feed("status", store:listing("status/alpha/applications"), { host = "alpha" })
    local status = model:snapshot(1, TERMS).nodes[1].status
    assert.equal(33, status.acted_on)
    assert.equal("v1", status.rows["web.0"].version)
    feed("status", nil, { host = "alpha" })
    assert.is_nil(model:snapshot(1, TERMS).nodes[1].status)
  end)
end)
