local Client = require("appmgr.consul.client")
local Policies = require("appmgr.leader.policies")
local Problems = require("appmgr.problems")
local core = require("spec.support.core")
local documents = require("appmgr.policy_documents")
local fake_consul = require("spec.support.fake_consul")
local fake_log = require("spec.support.fake_log")
local fake_timer = require("spec.support.fake_timer")

describe("which policy a leader places with", function()
  local timer, consul, problems, policies, known, changes, may_write

  before_each(function()
    timer, known, changes, may_write = fake_timer.new(), 0, 0, true
    consul = fake_consul.new(timer)
    problems = Problems.new({ log = fake_log.new(), now = function() return 0 end })
    policies = Policies.new({
      client = Client.new({
        http = consul.http, log = fake_log.new(), codec = core.codec, json = core.json, config = {}, environment = function() end,
      }),
      timer = timer, random = function() return 0 end, problems = problems, json = core.json, codec = core.codec,
      fallback_ms = 5000, configured = function() return { name = "spread", source = "s" } end,
      may_write = function() return may_write end, on_change = function() changes = changes + 1 end,
    })
  end)

  local function start()
    policies:start(function() known = known + 1 end)
    timer.advance(5)
  end

  local function put(name, source)
    local hash = documents.hash(source, core.codec)
    consul.put("appmgr/" .. documents.version_key(name, hash), source)
    return hash
  end

  local function use(name, hash, options)
    consul.put("appmgr/policy/use", core.json.encode({ name = name, hash = hash, options = options, history = core.json.array({}) }))
    timer.advance(5)
  end

  local function told(part)
    local text = (problems:list()[1] or { text = "" }).text
    assert.truthy(text:find(part, 1, true), text)
  end

  it("is the configuration's when nobody chose one; the key is made so that it can be followed", function()
    start()
    assert.equal(1, known)
    assert.same({ "spread", "s", "configuration" }, { policies:current().name, policies:current().source, policies:current().from })
    assert.equal(documents.NOBODY_CHOSE, consul.value("appmgr/policy/use"))
    timer.advance(60000)
    assert.equal(1, known)
  end)

  it("makes no key when it may not write any more", function()
    may_write = false
    start()
    assert.is_nil(consul.value("appmgr/policy/use"))
  end)

  it("is the one that Consul names, and known before anything else begins", function()
    use("mine", put("mine", "return 1"), { weight = 2 })
    start()
    local current = policies:current()
    assert.same({ "mine", "return 1", "Consul", 2 }, { current.name, current.source, current.from, current.options.weight })
    assert.same({ 1, 0 }, { known, changes })
  end)

  it("follows what Consul names", function()
    start()
    local before = changes
    use("mine", put("mine", "return 1"))
    assert.equal("return 1", policies:current().source)
    use("mine", put("mine", "return 2"))
    assert.equal("return 2", policies:current().source)
    consul.put("appmgr/policy/use", documents.NOBODY_CHOSE)
    timer.advance(5)
    assert.equal("spread", policies:current().name)
    assert.equal(before + 3, changes)
    assert.equal(1, known)
  end)

  it("reads a version once", function()
    local hash = put("mine", "return 1")
    use("mine", hash)
    start()
    use("mine", hash, { weight = 3 })
    assert.equal(3, policies:current().options.weight)
    assert.equal(1, consul.requests("policy/version/mine"))
  end)

  it("stays what it was while the document makes no sense, and says so", function()
    use("mine", put("mine", "return 1"))
    start()
    consul.put("appmgr/policy/use", "nonsense")
    timer.advance(5)
    assert.equal("mine", policies:current().name)
    told("the policy stays what it was")
    use("mine", put("mine", "return 2"))
    assert.same({}, problems:list())
  end)

  it("is not known, so that nothing is decided, while the version that is named is not there or was changed", function()
    local hash = documents.hash("return 1", core.codec)
    use("mine", hash)
    start()
    assert.equal(0, known)
    told("is not there; nothing is decided")
    consul.put("appmgr/" .. documents.version_key("mine", hash), "return 2")
    timer.advance(2005)
    told("was changed by somebody")
    consul.put("appmgr/" .. documents.version_key("mine", hash), "return 1")
    timer.advance(2005)
    assert.equal(1, known)
    assert.same({}, problems:list())
  end)

  it("says nothing more when the term is over", function()
    start()
    policies:stop()
    use("mine", put("mine", "return 1"))
    timer.advance(60000)
    assert.equal(0, #consul.http.open(""))
    assert.same({}, problems:list())
  end)
end)
